import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// A body that broke off continues with its exact next byte, or not at all.
    @Suite("Continuation")
    struct Continuation {
        static let pattern = Pattern(seed: 71)
        static let retries =
            "retries.retries = 200\nretries.base_seconds = 0.002\nretries.longest_seconds = 0.01\n"

        /// The positions at which the lanes have asked nginx to begin, in the order in which the requests ended.
        static func ranges(_ nginx: Nginx) throws -> [Int] {
            try nginx.accessLog().compactMap { line in
                let quoted = line.split(separator: "\"")
                guard quoted.count > 1, quoted[1].hasPrefix("bytes=") else { return nil }
                return Int(quoted[1].dropFirst(6).prefix { $0.isNumber })
            }
        }

        /// Checks that the reports of the attempts are consistent.
        static func check(_ job: Job, sourceLocation: SourceLocation = #_sourceLocation) {
            let log = job.attemptLog
            #expect(
                log.last?.number == job.attempts, "the last attempt is not told of: \(job)",
                sourceLocation: sourceLocation)
            #expect(log.count == min(job.attempts, 20), "\(job)", sourceLocation: sourceLocation)
            #expect(
                log.map(\.position) == log.map(\.position).sorted(), "an attempt began before another's end",
                sourceLocation: sourceLocation)
            #expect(
                log.dropLast().allSatisfy { $0.code != nil && $0.message != nil && $0.endedUsec != nil },
                "an attempt ended without a reason: \(log)", sourceLocation: sourceLocation)
            #expect(log.last?.code == job.outcome?.code, sourceLocation: sourceLocation)
        }

        @Test(
            "connections that are cut at random places, by FIN or RST, cost attempts but not one byte",
            arguments: Wire.available, [false, true])
        func randomCutsLoseNoByte(_ wire: Wire, _ resets: Bool) throws {
            let wires = try Wires("lanes.minimum = 4\n" + Self.retries)
            // A reset discards what the lane has not read yet, so there will be many.
            let size = resets ? 1_500_000 : 5_000_000
            let path = try wires.nginx.serve("file", Self.pattern, count: size)
            var dice = Dice()
            // Some cuts are in a head or a handshake, most of them in the middle of the body.
            let places = (0..<200).map { number in
                number % 5 == 0
                    ? Int.random(in: 1...3000, using: &dice) : .random(in: 1...size / 3, using: &dice)
            }
            let relay = try CuttingRelay(to: wires.port(wire)) { number in
                CuttingRelay.Cut(after: places[number % places.count], resets: resets)
            }
            let url =
                wire == .http
                ? "http://127.0.0.1:\(relay.port)\(path)" : "https://localhost:\(relay.port)\(path)"
            var positions: Set<Int> = []
            // Of many attempts only the latest are reported.
            var allAreTold = true
            for _ in 0..<3 {
                let job = try wires.service.fetch(url, expecting: Self.pattern).finishComplete(size)
                #expect(job.attempts > 1, "seed \(dice.seed): \(job)")
                Self.check(job)
                positions.formUnion(job.attemptLog.map(\.position))
                allAreTold = allAreTold && job.attemptLog.count == job.attempts
            }
            try eventually("the log of nginx is written") { try !Self.ranges(wires.nginx).isEmpty }
            let asked = Set(try Self.ranges(wires.nginx))
            #expect(
                !allAreTold || asked.isSubset(of: positions),
                "asked for \(asked.subtracting(positions)) as well")
            #expect(relay.cuts >= 3)
        }

        @Test(
            "a file that is replaced in mid-body fails its job, and not one byte of the new file is delivered",
            arguments: Wire.available)
        func replacedFileFailsItsJob(_ wire: Wire) throws {
            let wires = try Wires(Self.retries)
            let size = 32 << 20
            let path = try wires.nginx.serve("file", Self.pattern, count: size)
            try wires.nginx.serve("new", Pattern(seed: 72), count: size)
            try Self.age("\(wires.nginx.root)/file")
            let relay = try CuttingRelay(to: wires.port(wire)) { number in
                number == 0 ? CuttingRelay.Cut(after: 20 << 20, resets: true) : nil
            }
            let url =
                wire == .http
                ? "http://127.0.0.1:\(relay.port)\(path)" : "https://localhost:\(relay.port)\(path)"
            let job = try wires.service.fetch(url, expecting: Self.pattern, pace: .stopAt(1 << 20))
            try job.reader.waitForCount(1 << 20)
            #expect(rename("\(wires.nginx.root)/new", "\(wires.nginx.root)/file") == 0)
            job.reader.release()
            let ended = try job.finish(failing: .resourceChanged)
            #expect(ended.attempts == 2)
            #expect(ended.bytesDelivered >= 1 << 20 && ended.bytesDelivered <= 20 << 20)
            Self.check(ended)
            // A new job gets the new version as a whole.
            try wires.service.fetch(url, expecting: Pattern(seed: 72)).finishComplete(size)
        }

        /// Makes the file an hour older: nginx makes entity-tags of seconds and sizes.
        static func age(_ file: String) throws {
            _ = try Program.run("/usr/bin/touch", ["-d", "-1 hour", file]).successful()
        }

        @Test("sluicectl completes a body over cut connections, and fails with --retries 0")
        func clientContinuesUnlessRetriesAreZero() throws {
            let nginx = try Nginx()
            let service = try TestService(Self.retries)
            let size = 5_000_000
            let path = try nginx.serve("file", Self.pattern, count: size)
            let relay = try CuttingRelay(to: nginx.httpPort) { number in
                CuttingRelay.Cut(after: 900_000 + number, resets: false)
            }
            let directory = try TemporaryDirectory()
            let file = directory.file("body")
            func fetch(_ more: [String]) throws -> ProgramResult {
                try Program.run(
                    try Products.path("sluicectl"),
                    ["fetch", "http://127.0.0.1:\(relay.port)\(path)", "-o", file] + more,
                    environment: TestService.environment().merging(["SLUICE_SOCKET": service.socket]) { $1 })
            }
            let failed = try fetch(["--retries", "0"])
            #expect(failed.exit == .exited(12), "\(failed)")
            #expect(access(file, F_OK) != 0)
            let good = try fetch(["--retries", "20"])
            #expect(good.exit == .exited(0), "\(good)")
            #expect(try SHA256Sum.of(file: file) == Self.pattern.sha256(count: size))
        }

        // MARK: Bodies that continue

        @Test("the lane requests the rest with Range and If-Range, and repeats the caller's fields")
        func requestsRestWithRange() throws {
            let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
                try connection.respondRest(Self.pattern, count: 1_000_000)
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url("/a?b=c"), expecting: Self.pattern) {
                $0.headers = [HeaderField(name: "X-Own", value: "1")]
            }.finishComplete(1_000_000)
            #expect(job.attempts == 2)
            #expect(job.attemptLog.map(\.position) == [0, 300_000])
            #expect(job.attemptLog.map(\.code) == [.truncated, .complete])
            #expect(job.attemptLog.map(\.httpStatus) == [200, 206])
            #expect(job.contentLength == 1_000_000)
            #expect(job.etag == "\"v1\"")
            let request = try #require(origin.requests.last)
            #expect(request["Range"] == "bytes=300000-")
            #expect(request["If-Range"] == "\"v1\"")
            #expect(request["X-Own"] == "1")
            #expect(request.target == "/a?b=c")
            #expect(origin.requests.first?["Range"] == nil)
        }

        @Test("a strong Last-Modified date is as good as an entity-tag")
        func continuesWithStrongDate() throws {
            let modified = "Wed, 01 Jan 2020 00:00:00 GMT"
            let origin = try BadOrigin.breaking(
                Self.pattern, head: ["Last-Modified: \(modified)", "Date: Wed, 01 Jan 2020 00:01:00 GMT"]
            ) { connection, _ in
                try connection.respondRest(
                    Self.pattern, count: 1_000_000, etag: "\"new\"",
                    headers: ["Last-Modified: \(modified)"])
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1_000_000)
            #expect(job.attempts == 2)
            #expect(origin.requests.last?["If-Range"] == modified)
        }

        @Test(
            "if the origin ignores Range and sends the whole body, the bytes that the consumer has are dropped"
        )
        func dropsRepeatedBytes() throws {
            let origin = try BadOrigin.breaking(Self.pattern) { connection, number in
                if number == 2 {
                    // The connection breaks once more, before any new byte has come.
                    try connection.sendHead(headers: ["Content-Length: 1000000", "ETag: \"v1\""])
                    try connection.send(Self.pattern, 0..<200_000)
                    connection.close()
                } else {
                    try connection.respond(headers: ["ETag: \"v1\""], pattern: Self.pattern, count: 1_000_000)
                }
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1_000_000)
            #expect(job.attemptLog.map(\.position) == [0, 300_000, 300_000])
        }

        @Test("a chunked body continues, and a 416 at its very end shows that it was complete")
        func continuesChunkedBody() throws {
            let origin = try BadOrigin.breaking(Self.pattern, length: nil) { connection, number in
                if number == 2 {
                    try connection.sendHead(
                        "206 Partial Content",
                        headers: [
                            "Content-Range: bytes 300000-499999/*", "Content-Length: 200000", "ETag: \"v1\"",
                        ])
                    try connection.send(Self.pattern, 300_000..<500_000)
                } else {
                    try connection.respond(
                        "416 Range Not Satisfiable", headers: ["Content-Range: bytes */500000"])
                }
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(500_000)
            #expect(job.attemptLog.map(\.position) == [0, 300_000, 500_000])
            #expect(job.attemptLog.map(\.httpStatus) == [200, 206, 416])
        }

        @Test("after a redirect the lane requests the rest from the redirect's target")
        func requestsRestFromRedirectTarget() throws {
            let origin = try BadOrigin()
            let count = Monitor(0)
            origin.on("/there") { connection in
                if count.update({
                    $0 += 1; return $0
                }) == 1 {
                    try connection.sendHead(headers: ["Content-Length: 1000000", "ETag: \"v1\""])
                    try connection.send(Self.pattern, 0..<300_000)
                    connection.close()
                } else {
                    try connection.respondRest(Self.pattern, count: 1_000_000)
                }
            }
            origin.on("/here") { try $0.respond("302 Found", headers: ["Location: /there"]) }
            let service = try TestService(Self.retries)
            try service.fetch(origin.url("/here"), expecting: Self.pattern).finishComplete(1_000_000)
            #expect(origin.requests.map(\.path) == ["/here", "/there", "/there"])
        }

        @Test("an origin that falls silent in mid-body is asked again for the rest")
        func asksSilentOriginAgain() throws {
            let origin = try BadOrigin.numbered { connection, number in
                guard number == 1 else {
                    return try connection.respondRest(Self.pattern, count: 1_000_000)
                }
                try connection.sendHead(headers: ["Content-Length: 1000000", Self.etag])
                try connection.send(Self.pattern, 0..<300_000)
                connection.waitForClose()
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url(), expecting: Self.pattern) {
                $0.silenceTimeoutSeconds = 1
            }.finishComplete(1_000_000)
            #expect(job.attemptLog.map(\.code) == [.silenceTimeout, .complete])
            #expect(job.attemptLog.map(\.position) == [0, 300_000])
        }

        @Test("bytes of earlier attempts count towards the job's maximum size")
        func maximumSizeCountsEarlierBytes() throws {
            let origin = try BadOrigin.breaking(Self.pattern, length: nil) { connection, _ in
                let start = connection.request.rangeStart ?? 0
                try connection.sendHead(
                    "206 Partial Content",
                    headers: [
                        "Content-Range: bytes \(start)-999999/*", "Transfer-Encoding: chunked", Self.etag,
                    ])
                try connection.sendChunk(Self.pattern.bytes(start..<1_000_000))
                try connection.sendChunk([])
            }
            let service = try TestService(Self.retries)
            let job = try service.fetch(origin.url(), expecting: Self.pattern) {
                $0.maximumSize = 500_000
            }.finish(failing: .tooLarge)
            #expect(job.bytesDelivered <= 500_000 && job.attempts == 2)
        }

        @Test("a body on an upgraded connection continues as others do")
        func continuesOnUpgradedConnection() throws {
            let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
                try connection.respondRest(Self.pattern, count: 1_000_000)
            }
            let service = try TestService(Self.retries)
            let consumer = try SteppedConsumer(
                upgrading: service, origin.url(), expecting: Self.pattern)
            let job = try consumer.readToEnd()
            #expect(job.outcome?.code == .complete && job.attempts == 2 && consumer.count == 1_000_000)
        }

        @Test("fields that a redirect to another origin removed stay removed in the request for the rest")
        func strippedFieldsStayStripped() throws {
            let there = try BadOrigin.breaking(Self.pattern) { connection, _ in
                try connection.respondRest(Self.pattern, count: 1_000_000)
            }
            let target = there.url("/there")
            let here = try BadOrigin { try $0.respond("302 Found", headers: ["Location: \(target)"]) }
            let service = try TestService(Self.retries)
            let job = try service.fetch(here.url(), expecting: Self.pattern) {
                $0.headers = [HeaderField(name: "Authorization", value: "Bearer secret")]
            }.finishComplete(1_000_000)
            #expect(job.attempts == 2)
            #expect(here.requests.map { $0["Authorization"] } == ["Bearer secret"])
            #expect(there.requests.map { $0["Authorization"] } == [nil, nil])
            #expect(there.requests.map(\.rangeStart) == [nil, 300_000])
        }
    }
}
