import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration.Door {
    /// Many clients at once.
    @Suite("Many connections")
    struct ManyConnections {
        /// The maximum number that this process may have, up to 10,000.
        private func wanted() -> Int {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            return min(10_000, Int(clamping: limit.rlim_max) - 500)
        }

        @Test(
            "10,000 connections: those over a user's limit are refused with an error, the others and their jobs are served"
        )
        func refusesConnectionsOverUserLimit() throws {
            let count = wanted()
            let service = try TestService("limits.connections_per_user = 2000")
            let origin = try BadOrigin { try $0.respond(pattern: Pattern(), count: 1000) }
            let old = try service.client()
            let before = try MemoryProbe(processID: service.processID).privateDirty
            var sockets: [CInt] = []
            defer { for socket in sockets { close(socket) } }
            let start = ContinuousClock.now
            for _ in 0..<count {
                sockets.append(try UnixSocket.connect(path: service.socket).release())
            }
            // The last connections were refused, and the refusal names the limit.
            let last = VarlinkClient(adopting: OwnedDescriptor(adopting: sockets.removeLast()))
            do throws(VarlinkClientError) {
                _ = try last.next(deadline: Deadline.ofCall)
                Issue.record("connection \(count) was not refused")
            } catch {
                guard case .error(let name, let fields) = error else {
                    Issue.record("not an error: \(error)")
                    return
                }
                #expect(name == "io.sluice.Ingest.TooManyConnections")
                #expect(fields["limit"]?.integerValue == 2000)
            }
            let status = try old.call(
                "io.sluice.Ingest.Status", as: Ingest.StatusReply.self, deadline: Deadline.ofCall)
            let growth = try MemoryProbe(processID: service.processID).privateDirty - before
            print(
                "figure: \(count) connections in \(start.duration(to: .now)), \(status.connections) open, daemon "
                    + "grew by \(growth >> 10) KiB")
            #expect(status.connections >= 2000)
            // A client that is already connected gets its bodies.
            let reply = try old.callWithDescriptors(
                "io.sluice.Ingest.Fetch", Ingest.FetchParameters(url: origin.url()), deadline: Deadline.ofCall
            )
            let fetch = try reply.decode(as: Ingest.FetchReply.self)
            guard let body = reply.takeDescriptor(fetch.bodyFileDescriptor ?? -1) else {
                throw TestFailure("a reply without a pipe")
            }
            let reader = try ThreadedReader(body, expecting: Pattern())
            #expect(try reader.waitForEnd().count == 1000)
            for socket in sockets { close(socket) }
            sockets = []
            // Asked on the old connection: a new one would be refused until then.
            try eventually("the connections are forgotten") {
                try old.call(
                    "io.sluice.Ingest.Status", as: Ingest.StatusReply.self, deadline: Deadline.ofCall
                ).connections <= 3
            }
        }

        @Test("10,000 connections are served if the settings allow them")
        func servesAllAllowedConnections() throws {
            let count = wanted()
            let service = try TestService(
                """
                limits.connections = \(count + 10)
                limits.connections_per_user = \(count + 10)
                limits.jobs = 10
                limits.jobs_per_user = 10
                """)
            var sockets: [CInt] = []
            defer { for socket in sockets { close(socket) } }
            for _ in 0..<count {
                sockets.append(try UnixSocket.connect(path: service.socket).release())
            }
            let status = try service.status()
            #expect(status.connections == count + 1)
        }

        @Test("each user has a job limit of their own, within the limit for all users")
        func limitsJobsPerUser() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService(
                "lanes.maximum = 2\nlimits.jobs_per_user = 3\nlimits.jobs = 5\nlimits.remembered_jobs_per_user = 2"
            )
            let first = OtherUser(3001, service)
            let second = OtherUser(3002, service)
            var jobs = try (0..<3).map { _ in try first.fetch(origin.url(), expecting: Pattern()) }
            #expect(throws: tooMany(3)) { try first.fetch(origin.url(), expecting: Pattern()) }
            jobs += try (0..<2).map { _ in try second.fetch(origin.url(), expecting: Pattern()) }
            #expect(throws: tooMany(5)) { try second.fetch(origin.url(), expecting: Pattern()) }
            for job in jobs { _ = try service.cancel(job.id) }
            // Two jobs of each user are remembered, those that ended last.
            let remembered = try service.call("List", as: Ingest.ListReply.self).jobs.map(\.id)
            #expect(remembered == jobs[1...].map(\.id))
            _ = try first.fetch(origin.url(), expecting: Pattern())
        }

        private func tooMany(_ limit: Int64) -> VarlinkClientError {
            .error(name: "io.sluice.Ingest.TooManyJobs", parameters: ["limit": .integer(limit)])
        }
    }
}
