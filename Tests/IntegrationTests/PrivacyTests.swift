import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// Which users may see and do what.
    @Suite("Owners")
    struct Owners {
        static let pattern = Pattern(seed: 17)

        @Test("for another user a job does not exist, whatever method that user calls; root sees all jobs")
        func jobsAreHiddenFromOtherUsers() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService()
            let owner = OtherUser(4001, service)
            let stranger = OtherUser(4002, service)
            let job = try owner.fetch(origin.url(), expecting: Self.pattern)
            let parameters = Ingest.JobParameters(id: job.id)
            let unknown = VarlinkClientError.error(
                name: "io.sluice.Ingest.NoSuchJob", parameters: ["id": .string(job.id)])
            for method in ["Show", "Wait", "Cancel"] {
                #expect(throws: unknown) {
                    try stranger.call(method, parameters, as: Ingest.JobReply.self)
                }
            }
            let watcher = try stranger.client()
            try watcher.send(
                "io.sluice.Ingest.Watch", Ingest.WatchParameters(id: job.id), mode: .more,
                deadline: Deadline.ofCall)
            #expect(throws: unknown) { _ = try watcher.next(deadline: Deadline.ofCall) }
            #expect(try stranger.call("List", as: Ingest.ListReply.self).jobs.isEmpty)
            #expect(try owner.call("List", as: Ingest.ListReply.self).jobs.map(\.id) == [job.id])
            #expect(try service.call("List", as: Ingest.ListReply.self).jobs.map(\.userID) == [4001])
            #expect(try job.now().state == .connecting, "a stranger's Cancel had an effect")
            #expect(try owner.call("Cancel", parameters, as: Ingest.JobReply.self).job.state == .cancelled)
        }

        @Test("a Watch without an id reports only the caller's jobs, but all jobs to root")
        func watchReportsOwnJobsOnly() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            let service = try TestService()
            let owner = OtherUser(4001, service)
            let stranger = OtherUser(4002, service)
            let client = try owner.client()
            try client.send(
                "io.sluice.Ingest.Watch", Ingest.WatchParameters(), mode: .more, deadline: Deadline.ofCall)
            let root = try service.client()
            try root.send(
                "io.sluice.Ingest.Watch", Ingest.WatchParameters(), mode: .more, deadline: Deadline.ofCall)
            let theirs = try stranger.fetch(origin.url(), expecting: Self.pattern)
            try theirs.finishComplete(100)
            let own = try owner.fetch(origin.url(), expecting: Self.pattern)
            try own.finishComplete(100)
            func ids(_ client: VarlinkClient, until last: String) throws -> Set<String> {
                var ids: Set<String> = []
                while true {
                    let job = try client.next(deadline: Deadline.ofCall).decode(as: Ingest.JobReply.self).job
                    ids.insert(job.id)
                    if job.id == last, job.state.isFinal { return ids }
                }
            }
            #expect(try ids(client, until: own.id) == [own.id])
            #expect(try ids(root, until: own.id) == [own.id, theirs.id])
        }

        @Test(
            "an upgraded connection carries the body and then ends; Wait on another connection reports the outcome"
        )
        func upgradedConnectionCarriesBody() throws {
            let origin = try BadOrigin { connection in
                try connection.respond(pattern: Self.pattern, count: 10_000_000)
            }
            let service = try TestService()
            let connection = try service.client().upgrade(
                "io.sluice.Ingest.Fetch", Ingest.FetchParameters(url: origin.url()),
                as: Ingest.FetchReply.self,
                deadline: Deadline.ofCall)
            let id = connection.reply.id
            #expect(connection.reply.bodyFileDescriptor == nil)
            #expect(Self.pattern.mismatch(connection.received) == nil)
            let early = connection.received.count
            let reader = try ThreadedReader(
                connection.socket.duplicate(), expecting: Self.pattern, from: early, pace: .pieces(9973))
            let report = try reader.waitForEnd()
            #expect(early + report.count == 10_000_000)
            let job = try service.wait(id)
            #expect(job.outcome?.code == .complete)
            #expect(job.bytesDelivered == 10_000_000)
        }

        @Test("an upgraded client that disconnects ends its job, and one that does not read stalls it")
        func upgradedClientEndsOrStallsJob() throws {
            let nginx = try Nginx()
            let service = try TestService("gate.stalled_after_seconds = 0.1")
            let path = try nginx.serve("file", Self.pattern, count: 256 << 20)
            func upgrade() throws -> (String, CInt) {
                let connection = try service.client().upgrade(
                    "io.sluice.Ingest.Fetch", Ingest.FetchParameters(url: nginx.httpURL(path)),
                    as: Ingest.FetchReply.self, deadline: Deadline.ofCall)
                return (connection.reply.id, try connection.socket.duplicate().release())
            }
            let (id, socket) = try upgrade()
            try eventually("the job is stalled") { try service.show(id).state == .stalled }
            close(socket)
            let ended = try service.wait(id)
            #expect(ended.outcome?.code == .consumerGone, "\(ended)")
            let (second, other) = try upgrade()
            try eventually("the job is stalled") { try service.show(second).state == .stalled }
            let cancelled = try service.cancel(second)
            #expect(cancelled.outcome?.code == .cancelled)
            let reader = try ThreadedReader(OwnedDescriptor(adopting: other), expecting: nil)
            #expect(try reader.waitForEnd().count <= cancelled.bytesDelivered)
        }
    }
}
