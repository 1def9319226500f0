import EventLoop
import SluiceCore
import SystemPackage
import Testing
import Unix

@testable import SluiceDaemon

@Suite("The store of jobs") struct JobStoreTests {
    private let keeper = FakeKeeper()
    private let loop: EventLoop
    private let store: JobStore

    init() throws {
        loop = try EventLoop()
        store = JobStore(
            loop: loop, keeper: keeper, isEnabled: true, outcomes: nil, settings: Settings(), log: .silent)
    }

    private func job() throws -> JobRecord {
        let job = try JobRecord.example("a")
        let pipe = try Pipe()
        job.sink = JobSink(pipe.writeEnd, isPipe: true)
        return job
    }

    @Test("keeps a job's pipe and record, its account once there is one, and drops them at its end")
    func keepsJobUntilItsEnd() throws {
        let job = try job()
        store.store(job)
        store.store(job)
        #expect(keeper.stored.values.map { $0 } == [2] && store.count == 1)
        let pipe = try Pipe()
        job.progress.begin(
            with: try JobAccount(staging: try pipe.readEnd.reopenedForReadingAndWriting()))
        store.changed(job)
        store.changed(job)
        #expect(keeper.stored.values.map { $0 } == [4])
        job.endForTest()
        store.finished(job, job.close())
        #expect(keeper.stored.isEmpty && store.count == 0 && job.stored == nil)
    }

    @Test("stores a job later if the service manager did not take it at first")
    func retriesRefusedJob() throws {
        let job = try job()
        keeper.failure = .noBufferSpace
        store.store(job)
        #expect(job.stored == nil && store.count == 0)
        keeper.failure = nil
        var isDone = false
        store.storeAll([job]) { isDone = true }
        #expect(isDone && job.stored != nil && store.count == 1 && keeper.stored.count == 1)
    }

    @Test(
        "stores an account later if the service manager did not take it at first", arguments: [false, true])
    func retriesRefusedAccount(atHandover: Bool) throws {
        let job = try job()
        store.store(job)
        let pipe = try Pipe()
        job.progress.begin(
            with: try JobAccount(staging: try pipe.readEnd.reopenedForReadingAndWriting()))
        keeper.failure = .noBufferSpace
        store.changed(job)
        keeper.failure = nil
        #expect(keeper.stored.values.map { $0 } == [2])
        if atHandover { store.storeAll([job]) {} } else { store.changed(job) }
        #expect(keeper.stored.values.map { $0 } == [4])
    }

    @Test("removes a job later if the service manager does not take the removal at once")
    func retriesFailedRemoval() throws {
        let job = try job()
        store.store(job)
        job.endForTest()
        keeper.failure = .noBufferSpace
        store.finished(job, job.close())
        #expect(store.count == 1)
        keeper.failure = nil
        #expect(loop.run { store.count == 0 })
        #expect(keeper.removals == 1)
    }

    @Test("stores neither connections nor ended jobs, and nothing after it is closed")
    func ignoresConnectionsAndEndedJobs() throws {
        let connected = try JobRecord.example("a")
        let pair = try UnixSocket.streamPair()
        connected.sink = JobSink(pair.first, isPipe: false)
        store.store(connected)
        let ended = try job()
        ended.endForTest()
        store.store(ended)
        #expect(keeper.stored.isEmpty)
        let job = try job()
        store.close()
        store.store(job)
        #expect(keeper.stored.isEmpty)
    }
}
