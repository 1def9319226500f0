import LaneProtocol
import SluiceCore
import SluiceInterface
import Testing
import Unix

@testable import SluiceDaemon

@Suite("A stored job") struct StoredJobTests {
    @Test("a cancellation that is pending when the service ends is stored with the job")
    func storesPendingCancellation() throws {
        let job = try JobRecord.example("a")
        _ = job.machine.dispatched()
        _ = job.machine.endRequested(Outcome(.cancelled, "test"))
        let stored = try #require(StoredJob(job).encoded.flatMap { StoredJob(encoded: $0) })
        #expect(stored.ending?.code == .cancelled)
        #expect(stored.isParked == false && stored.id == job.id)
    }

    @Test("a restored job has its former parameters and the coding of its body")
    func restoresParameters() throws {
        var parameters = Ingest.FetchParameters(url: "http://h/")
        parameters.headTimeoutSeconds = 0.25
        parameters.minimumSpeed = 1000
        parameters.identity = true
        parameters.allowDowngrade = true
        parameters.http1 = true
        let job = JobRecord(
            id: "a", request: try JobRequest(parameters, settings: Settings()),
            owner: PeerCredentials(processID: 1, userID: 7, groupID: 7))
        var stored = StoredJob(job)
        stored.contentEncoding = "gzip"
        let record = try #require(stored.encoded.flatMap { StoredJob(encoded: $0) }).makeRecord()
        #expect(record.request == job.request)
        #expect(record.snapshot().contentEncoding == "gzip")
        #expect(LaneOrder(serial: 1, request: record.request) == LaneOrder(serial: 1, request: job.request))
    }

    @Test("a job stored by 0.2.0 keeps its age and deadline, as accurately as the time of day allows")
    func restoresTimesStoredByEarlierVersion() throws {
        let new = try JobRecord.example("a")
        var old = StoredJob(new)
        old.createdUptimeUsec = nil
        old.createdUsec = Realtime.microseconds() - 5_000_000
        old.deadlineUsec = Realtime.microseconds() + 60_000_000
        let record = try #require(old.encoded.flatMap { StoredJob(encoded: $0) }).makeRecord()
        #expect((4_900_000...20_000_000).contains(Uptime.microseconds() - record.createdUptimeUsec))
        #expect((40.0...60.1).contains(try #require(record.secondsLeft)))
        for absurd in [Int.min, Int.max] {
            old.createdUsec = absurd
            old.deadlineUsec = absurd
            let record = try old.makeRecord()
            #expect((0...Uptime.microseconds()).contains(record.createdUptimeUsec))
        }
    }

}
