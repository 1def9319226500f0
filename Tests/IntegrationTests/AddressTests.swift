import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Which addresses are connected to, and what happens with the others.
    @Suite("Addresses")
    struct Addresses {
        static let pattern = Pattern(seed: 6)

        @Test("an IPv6 literal is fetched, also as the target of a redirect")
        func fetchesIPv6Literals() throws {
            let origin = try BadOrigin(host: "::1")
            origin.onOther { try $0.respond(pattern: Self.pattern, count: 1000) }
            let redirecting = try BadOrigin { connection in
                try connection.respond(
                    "302 Found", headers: ["Location: http://[0:0::1]:\(origin.port)/there"])
            }
            let service = try TestService()
            try service.fetch(origin.url("/here"), expecting: Self.pattern).finishComplete(1000)
            try service.fetch(redirecting.url(), expecting: Self.pattern).finishComplete(1000)
            #expect(origin.requests.map(\.target) == ["/here", "/there"])
            #expect(Set(origin.requests.compactMap { $0["Host"] }) == ["[::1]:\(origin.port)"])
        }

        /// A service that looks names up in a file of the test.
        private func service(_ hosts: String, retries: Int = 0) throws -> (TestService, TemporaryDirectory) {
            let directory = try TemporaryDirectory("sluice-hosts")
            var options = TestService.Options()
            options.replacing = (try directory.write(hosts, to: "hosts"), "/etc/hosts")
            options.settings = "retries.retries = \(retries)\nretries.base_seconds = 0.3\n"
            return (try TestService(options), directory)
        }

        @Test("a dead first address costs no attempt", .enabled(if: Trust.isAvailable))
        func deadAddressCostsNoAttempt() throws {
            // A listener whose queue is full answers no connect(2), as with a host that does not exist.
            let dead = try SilentListener(host: "127.0.0.2")
            let origin = try BadOrigin(host: "127.0.0.3", port: dead.port)
            origin.onOther { try $0.respond(pattern: Self.pattern, count: 1000) }
            let (service, directory) = try service("127.0.0.2 two.test\n127.0.0.3 two.test\n")
            let job = try service.fetch("http://two.test:\(dead.port)/", expecting: Self.pattern) {
                $0.connectTimeoutSeconds = 8
            }.finishComplete(1000)
            #expect(job.attempts == 1)
            withExtendedLifetime(directory) {}
        }

        @Test("another attempt looks the address up again", .enabled(if: Trust.isAvailable))
        func retryLooksAddressUpAgain() throws {
            let origin = try BadOrigin(host: "127.0.0.3")
            origin.onOther { try $0.respond(pattern: Self.pattern, count: 1000) }
            // No server listens on this port there.
            let (service, directory) = try service("127.0.0.2 moves.test\n", retries: 50)
            let job = try service.fetch("http://moves.test:\(origin.port)/", expecting: Self.pattern)
            try eventually("an attempt has failed") { try job.now().attempts > 1 }
            // Writes to the same file: it is mounted over the service's /etc/hosts, so a new file would not be seen.
            let file = try #require(fopen(directory.file("hosts"), "w"))
            fputs("127.0.0.3 moves.test\n", file)
            fclose(file)
            let ended = try job.finishComplete(1000)
            #expect(ended.attemptLog.first?.code == .connectionRefused)
        }

        @Test(
            "a job can be cancelled while its name is looked up, and its lane survives",
            .enabled(if: Trust.isAvailable && geteuid() == 0))
        func cancelsDuringLookUp() throws {
            // Name servers have port 53; this one never answers.
            let server = try SilentNameServer(host: "127.0.0.5")
            let directory = try TemporaryDirectory("sluice-resolver")
            var options = TestService.Options()
            options.replacing = (
                try directory.write(
                    "nameserver 127.0.0.5\noptions timeout:30 attempts:5\n", to: "resolv.conf"),
                "/etc/resolv.conf"
            )
            options.settings = "lanes.minimum = 1\nlanes.maximum = 1\nlanes.end_seconds = 20\n"
            let service = try TestService(options)
            let job = try service.fetch("http://name.test/") { $0.connectTimeoutSeconds = 300 }
            try server.waitForQuestion()
            let lane = try job.lane()
            _ = try service.cancel(job.id)
            try eventually("the lane is idle again", within: .seconds(10)) {
                try service.status().lanes.idle == 1
            }
            #expect(try Processes.lanes(of: service.processID) == [lane])
            withExtendedLifetime(directory) {}
        }

        @Test("TCP keep-alive is active on a connection to a silent origin")
        func keepAliveProbesSilentConnection() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService()
            let job = try service.fetch(origin.url())
            try origin.waitForRequests(1)
            try eventually("the keep-alive timer runs") {
                try TCPTable.all().contains { $0.remotePort == origin.port && $0.state == 1 && $0.timer == 2 }
            }
            _ = try service.cancel(job.id)
        }
    }
}
