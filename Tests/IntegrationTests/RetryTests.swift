import Foundation
import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Attempts that fail and are repeated, and attempts that are not.
    @Suite("Retries")
    struct Retries {
        static let pattern = Pattern(seed: 81)
        static let quick = "retries.retries = 5\nretries.base_seconds = 0.005\n"

        /// The time in µs since 1970.
        static func now() -> Int {
            var now = timespec()
            clock_gettime(CLOCK_REALTIME, &now)
            return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
        }

        // MARK: Failures that are retried

        /// A temporary failure.
        struct Trouble: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let code: OutcomeCode
            let script: @Sendable (inout OriginConnection) throws -> Void

            init(
                _ name: String, _ code: OutcomeCode,
                _ script: @escaping @Sendable (inout OriginConnection) throws -> Void
            ) {
                testDescription = name
                self.code = code
                self.script = script
            }
        }

        static let passing: [Trouble] =
            [408, 429, 500, 502, 503, 504, 520, 524].map { status in
                Trouble("\(status)", .httpStatus) { try $0.respond("\(status) No", body: Array("no".utf8)) }
            } + [
                Trouble("a reset before the head", .connectionLost) { $0.reset() },
                Trouble("an end before the head", .connectionLost) { $0.close() },
                Trouble("no head in time", .headTimeout) { $0.waitForClose() },
                Trouble("a head without its body, cut", .truncated) { connection in
                    try connection.sendHead(headers: ["Content-Length: 1000", "ETag: \"other\""])
                    connection.close()
                },
                Trouble("a head without its body, and silence", .silenceTimeout) { connection in
                    try connection.sendHead(headers: ["Content-Length: 1000", "ETag: \"other\""])
                    connection.waitForClose()
                },
                Trouble("a head that is cut", .connectionLost) { connection in
                    try connection.send("HTTP/1.1 200 OK\r\nContent-Le")
                    connection.close()
                },
            ]

        @Test(
            "a temporary failure before the first byte is retried, and the next answer may be of another version",
            arguments: passing)
        func retriesTemporaryFailures(_ trouble: Trouble) throws {
            let origin = try BadOrigin.numbered { connection, number in
                if number <= 2 {
                    try trouble.script(&connection)
                } else {
                    // Another version with another length is accepted: nothing had been delivered.
                    try connection.respond(headers: ["ETag: \"b\""], pattern: Self.pattern, count: 50_000)
                }
            }
            let service = try TestService(Self.quick)
            let job = try service.fetch(origin.url(), expecting: Self.pattern) {
                // The short timeout applies only where the test expects it: on a busy machine an answer may take
                // longer.
                $0.headTimeoutSeconds = trouble.code == .headTimeout ? 0.3 : 60
                $0.silenceTimeoutSeconds = trouble.code == .silenceTimeout ? 0.3 : 60
            }.finishComplete(50_000)
            #expect(job.attempts == 3)
            #expect(job.attemptLog.map(\.code) == [trouble.code, trouble.code, .complete])
            #expect(job.attemptLog.map(\.position) == [0, 0, 0])
            #expect(job.etag == "\"b\"")
            #expect(job.contentLength == 50_000)
            #expect(origin.requests.allSatisfy { $0["Range"] == nil && $0["If-Range"] == nil })
            #expect(try service.status().jobs.retried == 2)
        }

        @Test("a name without an address and a port without a listener are tried again")
        func retriesFailedConnections() throws {
            let service = try TestService("retries.retries = 2\nretries.base_seconds = 0.005\n")
            let port = try Loopback.freePort()
            for (url, code) in [
                ("http://sluice.invalid/", OutcomeCode.nameNotResolved),
                ("http://127.0.0.1:\(port)/", .connectionRefused),
            ] {
                let job = try service.fetch(url).finish(failing: code, delivered: 0)
                #expect(job.attempts == 3)
                #expect(job.attemptLog.map(\.code) == [code, code, code])
            }
        }

        @Test("permanent failures are not retried")
        func doesNotRetryPermanentFailures() throws {
            let origin = try BadOrigin()
            for status in [400, 401, 403, 404, 405, 410, 418, 501, 505] {
                origin.on("/\(status)") { try $0.respond("\(status) No") }
            }
            origin.on("/loop") { try $0.respond("302 Found", headers: ["Location: /loop"]) }
            origin.on("/ftp") { try $0.respond("302 Found", headers: ["Location: ftp://h/"]) }
            origin.on("/coded") { try $0.sendHead(headers: ["Transfer-Encoding: gzip"]) }
            origin.on("/part") {
                try $0.respond("206 P", headers: ["Content-Range: bytes 0-1/3"], body: [1, 2])
            }
            origin.on("/large") { try $0.respond(pattern: Self.pattern, count: 2000) }
            origin.on("/ssh") { connection in
                try connection.send("SSH-2.0-OpenSSH_9.2\r\n")
                connection.close()
            }
            let service = try TestService(Self.quick)
            var cases: [(String, OutcomeCode)] = [400, 401, 403, 404, 405, 410, 418, 501, 505].map {
                ("/\($0)", .httpStatus)
            }
            cases += [
                ("/loop", .tooManyRedirects), ("/ftp", .redirectRefused), ("/coded", .contentEncoded),
                ("/part", .unexpectedPartial), ("/large", .tooLarge), ("/ssh", .protocolError),
            ]
            for (path, code) in cases {
                let job = try service.fetch(origin.url(path), expecting: Self.pattern) {
                    $0.maximumSize = 1000
                }.finish(failing: code)
                #expect(job.attempts == 1, "\(job)")
                #expect(job.attemptLog.map(\.code) == [code])
            }
            #expect(try service.status().jobs.retried == 0)
        }

        @Test("an untrusted certificate is not retried")
        func doesNotRetryUntrustedCertificate() throws {
            let authority = try TestCA()
            var options = NginxOptions()
            options.certificate = authority[.good]
            let nginx = try Nginx(options)
            let service = try TestService(Self.quick)
            let job = try service.fetch(nginx.tlsURL("/")).finish(failing: .tlsUntrusted, delivered: 0)
            #expect(job.attempts == 1)
        }

        // MARK: Number of attempts

        @Test("a job is retried as often as the settings, or its own parameters, allow, and no more")
        func retriesUpToLimit() throws {
            let origin = try BadOrigin { try $0.respond("503 No") }
            let service = try TestService("retries.retries = 3\nretries.base_seconds = 0\n")
            for (retries, attempts) in [(nil, 4), (0, 1), (1, 2), (7, 8), (40, 41)] as [(Int?, Int)] {
                let job = try service.fetch(origin.url()) { $0.retries = retries }
                    .finish(failing: .httpStatus, delivered: 0)
                #expect(job.attempts == attempts)
                #expect(job.httpStatus == 503)
                // The latest attempts are remembered, with their own numbers.
                #expect(
                    job.attemptLog.map(\.number) == Array((max(0, attempts - 20) + 1)...attempts), "\(job)")
            }
            #expect(origin.requests.count == 4 + 1 + 2 + 8 + 41)
        }

        @Test("an attempt that delivers 1 MiB or more resets the count of earlier failures")
        func progressResetsFailureCount() throws {
            let size = 12 << 20
            let origin = try BadOrigin { connection in
                let start = connection.request.rangeStart ?? 0
                try connection.sendHead(
                    start > 0 ? "206 Partial Content" : "200 OK",
                    headers: ["Content-Length: \(size - start)", "ETag: \"a\""]
                        + (start > 0 ? ["Content-Range: bytes \(start)-\(size - 1)/\(size)"] : []))
                try connection.send(Self.pattern, start..<min(size, start + (3 << 19)))
                connection.close()
            }
            let service = try TestService("retries.retries = 1\nretries.base_seconds = 0\n")
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(size)
            #expect(job.attempts == 8)
        }

        // MARK: Pauses

        /// A job that waits for its second attempt.
        private func waiting(
            _ service: TestService, _ url: String, _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
        ) throws -> (job: TestJob, pause: Double) {
            let job = try service.fetch(url, expecting: Self.pattern, change)
            let now = try job.waitFor(.waiting)
            let retry = try #require(now.retryUsec)
            let ended = try #require(now.attemptLog.last?.endedUsec)
            #expect(now.laneProcessID == nil || now.attempts == 1)
            return (job, Double(retry - ended) / 1e6)
        }

        @Test("Retry-After in seconds or as a date is respected, up to the configured limit")
        func respectsRetryAfterUpToLimit() throws {
            let origin = try BadOrigin()
            func answer(_ path: String, _ value: String) {
                origin.on(path) { try $0.respond("503 Later", headers: ["Retry-After: \(value)"]) }
            }
            answer("/seconds", "77")
            answer("/date", Self.date(Self.now() / 1_000_000 + 50))
            answer(
                "/rfc850", Self.date(Self.now() / 1_000_000 + 60, format: "EEEE, dd-MMM-yy HH:mm:ss 'GMT'"))
            answer("/long", "99999999999999999999")
            answer("/far", Self.date(Self.now() / 1_000_000 + 10_000_000))
            answer("/past", Self.date(Self.now() / 1_000_000 - 1000))
            answer("/nonsense", "soon")
            let service = try TestService(
                "retries.retries = 1\nretries.base_seconds = 5\nretries.longest_retry_after_seconds = 100\n")
            for (path, range) in [
                ("/seconds", 77.0...77.5), ("/date", 45...50.5), ("/rfc850", 55...60.5),
                ("/long", 100...100.5),
                ("/far", 100...100.5), ("/past", 0...5), ("/nonsense", 0...5),
            ] as [(String, ClosedRange<Double>)] {
                let (job, pause) = try waiting(service, origin.url(path))
                #expect(range.contains(pause), "\(path): \(pause) s")
                #expect(try service.cancel(job.id).outcome?.code == .cancelled)
            }
        }

        /// A date in HTTP's format.
        static func date(_ seconds: Int, format: String = "EEE, dd MMM yyyy HH:mm:ss 'GMT'") -> String {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = TimeZone(identifier: "GMT")
            formatter.dateFormat = format
            return formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
        }

        @Test("pauses are spread over the whole range from zero to their limit, and are never longer")
        func spreadsPausesUpToLimit() throws {
            let origin = try BadOrigin { try $0.respond("503 Later") }
            let service = try TestService("retries.base_seconds = 1000\nretries.longest_seconds = 60\n")
            var pauses: [Double] = []
            for _ in 0..<40 { pauses.append(try waiting(service, origin.url()).pause) }
            #expect(pauses.allSatisfy { (0...60.5).contains($0) }, "\(pauses)")
            // The probability that a third stays empty is less than one in a million.
            for third in 0..<3 {
                #expect(
                    pauses.contains { (20 * Double(third)...20 * Double(third + 1)).contains($0) },
                    "\(pauses)")
            }
        }

        @Test("a deadline that leaves no time for the pause ends the job at once")
        func endsWhenPauseExceedsDeadline() throws {
            let origin = try BadOrigin { try $0.respond("503 Later", headers: ["Retry-After: 60"]) }
            let service = try TestService("retries.retries = 5\n")
            try judge("the end of a job whose pause does not fit", takesLessThan: .seconds(5)) {
                try elapsed {
                    let job = try service.fetch(origin.url()) { $0.deadlineSeconds = 30 }
                        .finish(failing: .httpStatus, delivered: 0)
                    #expect(job.attempts == 1)
                    #expect(job.outcome?.message.contains("deadline") == true, "\(job)")
                }
            }
        }

        @Test("a deadline includes the pauses between attempts")
        func deadlineIncludesPauses() throws {
            let service = try TestService("retries.retries = 1000\nretries.base_seconds = 0.02\n")
            let port = try Loopback.freePort()
            let job = try service.fetch("http://127.0.0.1:\(port)/") { $0.deadlineSeconds = 0.5 }.finish()
            // The deadline comes in the middle of a pause, or the pause does not fit any more.
            #expect(
                [.deadlineExceeded, .connectionRefused].contains(job.outcome?.code), "\(job)")
            #expect(job.attempts > 1)
        }

        // MARK: Waiting jobs

        @Test(
            "a job that waits for an attempt has no lane, can be cancelled, and ends when its consumer closes its pipe"
        )
        func waitingJobHasNoLane() throws {
            let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
                try connection.respond("503 Later", headers: ["Retry-After: 60"])
            }
            origin.on("/good") { try $0.respond(pattern: Self.pattern, count: 10) }
            let service = try TestService(
                "lanes.minimum = 1\nlanes.maximum = 1\nretries.retries = 5\nretries.base_seconds = 0\n")
            let first = try service.fetch(origin.url(), expecting: Self.pattern)
            try eventually("it waits for long") {
                try first.now().retryUsec.map { $0 - Self.now() > 30_000_000 } == true
            }
            #expect(try first.now().bytesDelivered == 300_000)
            // The only lane is free for other jobs.
            try service.fetch(origin.url("/good"), expecting: Self.pattern).finishComplete(10)
            #expect(try first.now().laneProcessID == nil)
            #expect(try service.status().jobs.waiting == 1)
            try first.reader.waitForCount(300_000)
            let cancelled = try service.cancel(first.id)
            #expect(cancelled.state == .cancelled && cancelled.bytesDelivered == 300_000)
            #expect(try first.reader.waitForEnd().count == 300_000)

            let second = try service.fetch(origin.url(), expecting: Self.pattern)
            try second.waitFor(.waiting)
            second.reader.cancel()
            let ended = try service.wait(second.id)
            #expect(ended.outcome?.code == .consumerGone, "\(ended)")
        }

        // MARK: Reports

        @Test("show lists every attempt, and the log has every failed one")
        func reportsEveryAttempt() throws {
            let origin = try BadOrigin.numbered { connection, number in
                switch number {
                case 1:
                    try connection.respond("502 Bad")
                    // Otherwise libcurl would take the end of a used connection as a reason to repeat the request by
                    // itself.
                    connection.close()
                case 2: connection.close()
                case 3:
                    try connection.sendHead(headers: ["Content-Length: 1000000", "ETag: \"a\""])
                    try connection.send(Self.pattern, 0..<300_000)
                    connection.close()
                default: try connection.respondRest(Self.pattern, count: 1_000_000, etag: "\"a\"")
                }
            }
            let service = try TestService(Self.quick)
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1_000_000)
            let codes: [OutcomeCode] = [.httpStatus, .connectionLost, .truncated, .complete]
            #expect(job.attemptLog.map(\.code) == codes)
            #expect(job.attemptLog.map(\.httpStatus) == [502, nil, 200, 206])
            #expect(job.attemptLog.map(\.position) == [0, 0, 0, 300_000])
            #expect(job.attemptLog.map(\.number) == [1, 2, 3, 4])
            let times = job.attemptLog.flatMap { [$0.startedUsec, $0.endedUsec ?? 0] }
            #expect(times == times.sorted(), "\(times)")
            let lines = service.log.split(separator: "\n").filter { $0.contains("attempt failed") }
            #expect(lines.count == 3, "\(service.log)")
            for (number, line) in lines.enumerated() {
                #expect(line.contains("attempt=\(number + 1)") && line.contains("job=\(job.id)"), "\(line)")
                #expect(line.contains("outcome=\(codes[number].rawValue)"), "\(line)")
                #expect(line.contains("pause_usec=") && line.contains("reason="), "\(line)")
            }
            let shown = try Program.run(
                try Products.path("sluicectl"), ["show", job.id],
                environment: ["SLUICE_SOCKET": service.socket]
            ).successful().output
            for code in codes { #expect(shown.contains(code.rawValue), "\(shown)") }
        }
    }
}
