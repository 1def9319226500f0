import SluiceInterface
import TestKit
import Testing

/// A job and its consumer.
final class TestJob: Sendable {
    let id: String
    let reader: ThreadedReader
    private let service: TestService

    init(id: String, reader: ThreadedReader, service: TestService) {
        self.id = id
        self.reader = reader
        self.service = service
    }

    /// The job now.
    func now() throws -> Job { try service.show(id) }

    /// Waits for a state.
    @discardableResult
    func waitFor(_ state: JobState, within duration: Duration = Deadline.usual) throws -> Job {
        var job = try now()
        try eventually("the job is \(state) (it is \(job.state))", within: duration) {
            job = try now()
            return job.state == state
        }
        return job
    }

    /// The lane that has the job.
    func lane() throws -> Int32 {
        var lane: Int?
        try eventually("the job has a lane") {
            lane = try now().laneProcessID
            return lane != nil
        }
        // 0 and negative numbers would mean more than one process to kill(2).
        guard let lane, lane > 1 else { throw TestFailure("no lane: \(try now())") }
        return Int32(lane)
    }

    /// Waits for the end of the job and of its pipe. Checks that the consumer has the bytes that the job reports, and
    /// that all are right.
    func finish(
        within duration: Duration = Deadline.long, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Job {
        let job: Job
        do {
            job = try service.wait(id, within: duration)
        } catch {
            throw TestFailure("no end: \(error); \((try? now()).map { "\($0)" } ?? "the service is gone")")
        }
        let report = try reader.waitForEnd(within: duration)
        #expect(
            report.count == job.bytesDelivered, "the consumer has \(report.count) bytes: \(job)",
            sourceLocation: sourceLocation)
        return job
    }

    /// Waits for the end, which must be a complete body of this number of bytes.
    @discardableResult
    func finishComplete(
        _ count: Int, within duration: Duration = Deadline.long,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Job {
        let job = try finish(within: duration, sourceLocation: sourceLocation)
        #expect(job.outcome?.code == .complete, "\(job)", sourceLocation: sourceLocation)
        #expect(job.state == .complete, sourceLocation: sourceLocation)
        #expect(job.bytesDelivered == count, "\(job)", sourceLocation: sourceLocation)
        #expect(job.bytesReceived == count, "\(job)", sourceLocation: sourceLocation)
        return job
    }

    /// Waits for the end, which must be this failure, with a message.
    @discardableResult
    func finish(
        failing code: OutcomeCode, delivered: Int? = nil, within duration: Duration = Deadline.usual,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> Job {
        let job = try finish(within: duration, sourceLocation: sourceLocation)
        #expect(job.outcome?.code == code, "\(job)", sourceLocation: sourceLocation)
        #expect(job.state == code.state, sourceLocation: sourceLocation)
        let message = job.outcome?.message ?? ""
        #expect(message.count > 8, "“\(message)” says nothing", sourceLocation: sourceLocation)
        #expect(!message.contains("\n"), sourceLocation: sourceLocation)
        #expect(job.outcome?.remedy == code.remedy, sourceLocation: sourceLocation)
        if let delivered {
            #expect(job.bytesDelivered == delivered, "\(job)", sourceLocation: sourceLocation)
        }
        return job
    }
}
