import SluiceClient
import SluiceInterface

/// Samples for tests.
enum TopFixtures {
    static let now = 1_000_000_000_000

    static func job(
        _ id: String, _ state: JobState = .streaming, bytes: Int = 0, size: Int? = 1000, buffered: Int = 0,
        stalled: Int = 0, age: Int = 60, url: String = "http://h/x"
    ) -> Job {
        var job = Job(
            id: id, url: url, userID: 7, processID: 1, createdUsec: now - age * 1_000_000,
            highWatermark: 1_048_576, lowWatermark: 262_144)
        job.state = state
        job.bytesDelivered = bytes
        job.contentLength = size
        job.bytesBuffered = buffered
        job.stalledUsec = stalled
        return job
    }

    static func status(delivered: Int = 0, process: Int = 1) -> Ingest.StatusReply {
        var jobs = Ingest.JobCounts()
        jobs.streaming = 3
        jobs.stalled = 1
        jobs.failed = 2
        var lanes = Ingest.LaneCounts()
        lanes.busy = 4
        lanes.limit = 96
        return Ingest.StatusReply(
            version: "1.2.3", processID: process, startedUsec: now - 7_200_000_000, status: "s", jobs: jobs,
            lanes: lanes, bytesDelivered: delivered, pipeBytes: 1, pipeBudget: 2, connections: 3)
    }

    /// - Parameter seconds: the time of the sample; wall time advances with it.
    static func sample(
        _ jobs: [Job], at seconds: Double = 0, delivered: Int = 0, process: Int = 1
    ) -> TopSample {
        TopSample(
            jobs: jobs, status: status(delivered: delivered, process: process), seconds: seconds,
            nowUsec: now + Int(seconds * 1e6))
    }
}
