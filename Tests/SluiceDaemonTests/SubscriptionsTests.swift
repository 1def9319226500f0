import EventLoop
import SluiceCore
import SluiceInterface
import Testing
import Unix
import Varlink

@testable import SluiceDaemon

/// The calls that wait for something, without a connection behind them.
@Suite("Calls that wait", .serialized) struct SubscriptionsTests {
    private final class FakeCall: OpenCall {
        let peer: PeerCredentials
        let wantsMore: Bool
        var unreadReplyBytes = 0
        var onDisconnect: (() -> Void)?
        /// The values of the replies, the last one among them.
        private(set) var replies: [Any] = []
        private(set) var isFinished = false
        private(set) var hasFailed = false

        init(of user: UInt32 = 7, wantsMore: Bool = true) {
            peer = PeerCredentials(processID: 1, userID: user, groupID: user)
            self.wantsMore = wantsMore
        }

        func reply(_ value: some Encodable, continues: Bool) { take(value, continues) }
        func reply(_ parameters: EncodedParameters, continues: Bool) { take(parameters, continues) }
        func fail(_ error: some VarlinkErrorProtocol) {
            hasFailed = true
            isFinished = true
        }
        private func take(_ value: Any, _ continues: Bool) {
            replies.append(value)
            isFinished = !continues
        }

        var states: [JobState] { replies.compactMap { ($0 as? Ingest.JobReply)?.job.state } }
        var counts: [Int] { replies.compactMap { ($0 as? Ingest.DrainReply)?.jobs } }
    }

    private final class Desk {
        let loop: EventLoop
        var jobs: [JobRecord] = []
        private(set) lazy var subscriptions = Subscriptions(
            loop: loop,
            active: { [unowned self] user in jobs.filter { user == 0 || $0.owner.userID == user } },
            activeCount: { [unowned self] in jobs.count },
            find: { [unowned self] id in jobs.first { $0.id == id } })

        init() throws { loop = try EventLoop() }

        func begin(_ id: String, of user: UInt32 = 7) throws -> JobRecord {
            let job = try JobRecord.example(id, of: user)
            jobs.append(job)
            return job
        }

        func end(_ job: JobRecord) {
            job.endForTest()
            _ = job.close()
            jobs.removeAll { $0 === job }
            subscriptions.changed(job)
        }
    }

    @Test("each call that waits for a job is answered at its end, and no other call")
    func waitersAreAnswered() throws {
        let desk = try Desk()
        let (first, second) = (try desk.begin("a"), try desk.begin("b"))
        let calls = (0..<3).map { _ in FakeCall(wantsMore: false) }
        desk.subscriptions.wait(calls[0], for: first)
        desk.subscriptions.wait(calls[1], for: first, isFetch: true)
        desk.subscriptions.wait(calls[2], for: second)
        desk.subscriptions.changed(first)
        #expect(calls.allSatisfy { !$0.isFinished })
        desk.end(first)
        #expect(calls.map(\.isFinished) == [true, true, false])
    }

    @Test("a client that goes is forgotten")
    func goneClientsAreForgotten() throws {
        let desk = try Desk()
        let job = try desk.begin("a")
        let calls = (0..<3).map { _ in FakeCall() }
        desk.subscriptions.wait(calls[0], for: job)
        desk.subscriptions.watch(calls[1], nil, interval: .seconds(60))
        desk.subscriptions.drain(calls[2])
        for call in calls { call.onDisconnect?() }
        let replies = calls.map(\.replies.count)
        #expect(desk.subscriptions.watcherCount(of: 7) == 0)
        desk.end(job)
        #expect(calls.map(\.replies.count) == replies)
    }

    @Test("a watch of one job ends with the job, a watch of all goes on")
    func watchesEndWithTheirJob() throws {
        let desk = try Desk()
        let job = try desk.begin("a")
        let (one, all) = (FakeCall(), FakeCall())
        desk.subscriptions.watch(one, job, interval: .seconds(60))
        desk.subscriptions.watch(all, nil, interval: .seconds(60))
        #expect(one.states == [.queued] && all.states == [.queued])
        desk.end(job)
        #expect(one.states == [.queued, .cancelled] && one.isFinished)
        #expect(all.states == [.queued, .cancelled] && !all.isFinished)
    }

    @Test("a user sees no job of another user, and root sees all")
    func usersSeeTheirOwnJobs() throws {
        let desk = try Desk()
        let (member, root) = (FakeCall(of: 7), FakeCall(of: 0))
        desk.subscriptions.watch(member, nil, interval: .seconds(60))
        desk.subscriptions.watch(root, nil, interval: .seconds(60))
        desk.end(try desk.begin("a", of: 8))
        #expect(member.states == [] && root.states == [.cancelled])
    }

    @Test("a streaming job is reported at the interval, unless the client has not read the last report")
    func progressIsReported() throws {
        let desk = try Desk()
        let job = try desk.begin("a")
        _ = job.machine.dispatched()
        _ = job.machine.entered(.streaming)
        let (reads, doesNotRead) = (FakeCall(), FakeCall())
        doesNotRead.unreadReplyBytes = 1
        desk.subscriptions.watch(reads, job, interval: .milliseconds(1))
        desk.subscriptions.watch(doesNotRead, job, interval: .milliseconds(1))
        #expect(desk.loop.run { reads.replies.count >= 4 })
        #expect(doesNotRead.replies.count == 1)
    }

    @Test("a drain gets each number of jobs that are left, and ends with 0 or with the drain")
    func drainsCountDown() throws {
        let desk = try Desk()
        let (first, second) = (try desk.begin("a"), try desk.begin("b"))
        let (patient, busy, once) = (FakeCall(), FakeCall(), FakeCall(wantsMore: false))
        desk.subscriptions.drain(patient)
        desk.subscriptions.drain(busy)
        desk.subscriptions.drain(once)
        #expect(once.counts == [2] && once.isFinished)
        busy.unreadReplyBytes = 1
        desk.end(first)
        #expect(patient.counts == [2, 1] && busy.counts == [2])
        desk.end(second)
        #expect(patient.counts == [2, 1, 0] && busy.counts == [2, 0] && busy.isFinished)

        _ = try desk.begin("c")
        let ended = FakeCall()
        desk.subscriptions.drain(ended)
        desk.subscriptions.endDrains()
        #expect(ended.counts == [1, 1] && ended.isFinished)
    }

    @Test("all calls fail when the service stops, and a user's watches when the user may not use it any more")
    func callsFail() throws {
        let desk = try Desk()
        let job = try desk.begin("a")
        let (mine, theirs, waits) = (FakeCall(of: 7), FakeCall(of: 8), FakeCall())
        desk.subscriptions.watch(mine, nil, interval: .seconds(60))
        desk.subscriptions.watch(theirs, nil, interval: .seconds(60))
        desk.subscriptions.wait(waits, for: job)
        desk.subscriptions.endWatches(of: 7, IngestError.notAllowed(7))
        #expect(mine.hasFailed && !theirs.hasFailed && desk.subscriptions.watcherCount(of: 8) == 1)
        desk.subscriptions.close(IngestError.stopping)
        #expect(theirs.hasFailed && waits.hasFailed)
    }
}
