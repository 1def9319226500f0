import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix

extension Integration {
    /// Digests that are requested, reported and announced; versions that the caller already has.
    @Suite("Digests and versions")
    struct Digests {
        static let pattern = Pattern(seed: 101)
        static let size = 700_000

        private func run(_ service: TestService, _ arguments: [String]) throws -> ProgramResult {
            try Program.run(
                try Products.path("sluicectl"), arguments,
                environment: TestService.environment().merging(["SLUICE_SOCKET": service.socket]) { $1 })
        }

        /// Computed by coreutils, since the lanes compute theirs with another library.
        private func sum(_ program: String, of file: String) throws -> String {
            let output = try Program.run("/usr/bin/\(program)", [file]).successful().output
            return String(output.prefix { $0 != " " })
        }

        // MARK: Digests

        @Test(
            "a body with the requested digest is complete, and a body with another digest fails",
            arguments: ["sha256", "sha512"])
        func verifiesRequestedDigest(_ algorithm: String) throws {
            let nginx = try Nginx()
            let service = try TestService()
            let path = try nginx.serve("file", Self.pattern, count: Self.size)
            let right = try sum("\(algorithm)sum", of: "\(nginx.root)/file")
            let wrong = String(right.reversed())
            let directory = try TemporaryDirectory()
            let file = directory.file("body")

            let good = try run(
                service,
                ["fetch", "-q", nginx.httpURL(path), "-o", file, "--digest", "\(algorithm):\(right)"])
            #expect(good.exit == .exited(0), "\(good)")
            #expect(try sum("\(algorithm)sum", of: file) == right)
            unlink(file)

            // The same number in upper case.
            let upper = try run(
                service,
                ["fetch", "-q", nginx.httpURL(path), "-o", file]
                    + ["--digest", "\(algorithm):\(right.uppercased())"])
            #expect(upper.exit == .exited(0), "\(upper)")
            unlink(file)

            let bad = try run(
                service, ["fetch", nginx.httpURL(path), "-o", file, "--digest", "\(algorithm):\(wrong)"])
            #expect(bad.exit == .exited(18), "\(bad)")
            #expect(bad.errors.contains(right) && bad.errors.contains(wrong), "\(bad)")
            #expect(access(file, F_OK) != 0, "a body that is not the right one was left")

            // Through a pipe the bytes have gone by then. The outcome says that they were wrong.
            let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern) {
                $0.digest = "\(algorithm):\(wrong)"
            }.finish(failing: .digestMismatch, delivered: Self.size)
            #expect(job.digest == "\(algorithm):\(right)")
            #expect(job.attempts == 1)
        }

        @Test("a digest is reported on request, and not otherwise")
        func reportsDigestOnRequest() throws {
            let nginx = try Nginx()
            let service = try TestService()
            let path = try nginx.serve("file", Self.pattern, count: Self.size)
            for algorithm in ["sha256", "sha512"] {
                let right = try sum("\(algorithm)sum", of: "\(nginx.root)/file")
                let result = try run(
                    service, ["fetch", nginx.httpURL(path), "-o", "/dev/null", "--digest", algorithm])
                #expect(result.exit == .exited(0), "\(result)")
                #expect(result.errors.contains("\(algorithm):\(right)"), "\(result)")
                let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern) {
                    $0.digest = algorithm
                }.finishComplete(Self.size)
                #expect(job.digest == "\(algorithm):\(right)")
                let shown = try run(service, ["show", job.id]).successful().output
                #expect(shown.contains(right), "\(shown)")
            }
            let plain = try service.fetch(nginx.httpURL(path), expecting: Self.pattern)
                .finishComplete(Self.size)
            #expect(plain.digest == nil)
            #expect(try nginx.serve("empty", Self.pattern, count: 0) == "/empty")
            let empty = try service.fetch(nginx.httpURL("/empty"), expecting: Self.pattern) {
                $0.digest = "sha256"
            }.finishComplete(0)
            #expect(empty.digest == "sha256:\(try Self.pattern.sha256(count: 0))")
        }

        @Test("a malformed digest is refused before a job starts")
        func refusesMalformedDigest() throws {
            let service = try TestService()
            for digest in ["md5", "sha256:12", "sha256:", ":", "sha256:\(String(repeating: "g", count: 64))"]
            {
                let result = try run(service, ["fetch", "http://127.0.0.1:1/", "--digest", digest])
                #expect(result.exit == .exited(2) || result.exit == .exited(64), "\(digest): \(result)")
            }
            #expect(try service.status().jobs.failed == 0)
        }

        @Test(
            "the digest that the origin announces (Repr-Digest, RFC 9530) is verified, and a mismatch is not retried"
        )
        func verifiesAnnouncedDigest() throws {
            let nginx = try Nginx()
            try nginx.serve("file", Self.pattern, count: Self.size)
            let hex = try sum("sha256sum", of: "\(nginx.root)/file")
            let long = try sum("sha512sum", of: "\(nginx.root)/file")
            let right = Base64.encode(Self.bytes(hex))
            let wrong = Base64.encode(Self.bytes(String(hex.reversed())))
            let origin = try BadOrigin()
            func answer(_ path: String, _ field: String) {
                origin.on(path) {
                    try $0.respond(
                        headers: ["ETag: \"a\"", "Repr-Digest: \(field)"], pattern: Self.pattern,
                        count: Self.size)
                }
            }
            answer("/right", "sha-256=:\(right):")
            answer("/wrong", "sha-256=:\(wrong):")
            answer("/both", "sha-512=:\(Base64.encode(Self.bytes(long))):, sha-256=:\(right):")
            answer("/half", "sha-512=:\(Base64.encode(Self.bytes(long))):, sha-256=:\(wrong):")
            answer("/unknown", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:")
            let service = try TestService("retries.retries = 3\nretries.base_seconds = 0\n")
            for (path, code) in [
                ("/right", OutcomeCode.complete), ("/wrong", .digestMismatch), ("/both", .complete),
                ("/half", .digestMismatch), ("/unknown", .complete),
            ] {
                let job = try service.fetch(origin.url(path), expecting: Self.pattern).finish()
                #expect(job.outcome?.code == code, "\(path): \(job)")
                #expect(job.bytesDelivered == Self.size && job.attempts == 1)
                #expect((job.digest == nil) == (path == "/unknown"), "\(path): \(job)")
            }
            let result = try run(service, ["fetch", "-q", origin.url("/wrong"), "-o", "/dev/null"])
            #expect(result.exit == .exited(18), "\(result)")
        }

        static func bytes(_ hexadecimal: String) -> [UInt8] {
            let digits = Array(hexadecimal)
            return stride(from: 0, to: digits.count, by: 2).compactMap {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)
            }
        }

        @Test("a close-delimited body with the right digest is complete, not unverified")
        func digestVerifiesCloseDelimitedBody() throws {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Connection: close"])
                try connection.send(Self.pattern, 0..<Self.size)
                connection.close()
            }
            let service = try TestService()
            let right = try Self.pattern.sha256(count: Self.size)
            let job = try service.fetch(origin.url(), expecting: Self.pattern) {
                $0.digest = "sha256:\(right)"
            }.finishComplete(Self.size)
            #expect(job.digest == "sha256:\(right)")
            // The digest shows that the body was cut short, which nothing else could have shown.
            try service.fetch(origin.url(), expecting: Self.pattern) {
                $0.digest = "sha256:\(String(right.reversed()))"
            }.finish(failing: .digestMismatch, delivered: Self.size)
        }

        @Test("a digest covers every byte, also of a body that broke off and was fetched again")
        func digestCoversRefetchedBody() throws {
            let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
                try connection.respond(headers: ["ETag: \"v1\""], pattern: Self.pattern, count: 1_000_000)
            }
            let service = try TestService("retries.retries = 3\nretries.base_seconds = 0\n")
            let right = try Self.pattern.sha256(count: 1_000_000)
            let job = try service.fetch(origin.url(), expecting: Self.pattern) {
                $0.digest = "sha256:\(right)"
            }.finishComplete(1_000_000)
            #expect(job.attemptLog.map(\.position) == [0, 300_000])
            #expect(origin.requests.allSatisfy { $0["Range"] == nil })
        }

        // MARK: Versions

        @Test(
            "a version that the caller already has is unchanged: no body arrives, and the exit status reports it"
        )
        func reportsUnchangedVersion() throws {
            let nginx = try Nginx()
            let service = try TestService()
            let path = try nginx.serve("file", Self.pattern, count: Self.size)
            let first = try service.fetch(nginx.httpURL(path), expecting: Self.pattern)
                .finishComplete(Self.size)
            let etag = try #require(first.etag)
            let result = try run(service, ["fetch", nginx.httpURL(path), "--if-none-match", etag])
            #expect(result.exit == .exited(17) && result.output.isEmpty, "\(result)")
            let job = try service.fetch(nginx.httpURL(path)) { $0.ifNoneMatch = etag }.finish()
            #expect(job.outcome?.code == .unchanged && job.state == .complete)
            #expect(job.httpStatus == 304 && job.bytesDelivered == 0 && job.etag == etag, "\(job)")
            let other = try run(
                service, ["fetch", "-q", nginx.httpURL(path), "-o", "/dev/null", "--if-none-match", "\"x\""])
            #expect(other.exit == .exited(0), "\(other)")
        }

        @Test(
            "--etag-file is written, sent, kept while the body is unchanged, and replaced with a new body",
            arguments: Wire.available)
        func etagFileFollowsTheBody(_ wire: Wire) throws {
            let wires = try Wires()
            let path = try wires.nginx.serve("file", Self.pattern, count: Self.size)
            let url = wires.url(path, over: wire)
            let directory = try TemporaryDirectory()
            let (body, tag) = (directory.file("body"), directory.file("etag"))
            let command = ["fetch", "-q", url, "-o", body, "--etag-file", tag]
            func statuses() throws -> [String] {
                try wires.nginx.accessLog().map { String($0.prefix(3)) }
            }

            #expect(try run(wires.service, command).exit == .exited(0))
            let first = try readText(tag)
            #expect(first.hasPrefix("\""), "\(first)")
            #expect(try run(wires.service, command).exit == .exited(17))
            #expect(try readText(tag) == first)
            #expect(try SHA256Sum.of(file: body) == Self.pattern.sha256(count: Self.size))

            // Another file at the origin, with another age: nginx makes entity-tags of seconds and sizes.
            try wires.nginx.serve("file", Pattern(seed: 102), count: Self.size + 1)
            #expect(try run(wires.service, command).exit == .exited(0))
            #expect(try readText(tag) != first)
            #expect(try SHA256Sum.of(file: body) == Pattern(seed: 102).sha256(count: Self.size + 1))
            try eventually("nginx has written its log") { try statuses() == ["200", "304", "200"] }
        }

        @Test("a new version that breaks off leaves the old version's file and entity-tag in place")
        func failureKeepsOldFileAndTag() throws {
            let origin = try BadOrigin.numbered { connection, number in
                if number == 1 {
                    try connection.respond(headers: ["ETag: \"v1\""], pattern: Self.pattern, count: 1000)
                } else {
                    try connection.sendHead(headers: ["Content-Length: 1000", "ETag: \"v2\""])
                    try connection.send(Pattern(seed: 102), 0..<500)
                    connection.close()
                }
            }
            let service = try TestService("retries.retries = 1\nretries.base_seconds = 0\n")
            let directory = try TemporaryDirectory()
            let (body, tag) = (directory.file("body"), directory.file("etag"))
            let command = ["fetch", "-q", origin.url(), "-o", body, "--etag-file", tag]
            #expect(try run(service, command).exit == .exited(0))
            let before = try readText(tag)
            let result = try run(service, command)
            #expect(result.exit == .exited(12), "\(result)")
            #expect(try readText(tag) == before)
            #expect(try SHA256Sum.of(file: body) == Self.pattern.sha256(count: 1000))
        }
    }
}
