internal import FoundationEssentials
internal import SluiceCore
internal import SluiceInterface
internal import Unix

/// The record of a job for the next process of the service. It holds everything but the numbers of bytes, which are in
/// the ledger. Lanes never see it.
struct StoredJob: Codable, Sendable {
    /// The format that this version writes. Records of other formats are not read.
    static let currentFormat = 1

    var format = StoredJob.currentFormat
    var id: String
    var sequence: Int
    var request: Ingest.FetchParameters
    var processID: Int32
    var userID: UInt32
    var groupID: UInt32
    /// Nil also in records of Sluice 0.3.0, which did not look it up.
    var program: String?
    var createdUsec: Int
    /// Nil in records of Sluice 0.2.0, which used the time of day only, as are all other times of `Uptime`.
    var createdUptimeUsec: Int?
    var startedUsec: Int?
    var deadlineUptimeUsec: Int?
    /// What Sluice 0.2.0 wrote instead of `deadlineUptimeUsec`.
    var deadlineUsec: Int?
    var attempts: Int
    var attemptLog: [Attempt]
    var policy: RetryPolicy
    var known: Representation?
    var etag: String?
    var httpStatus: Int?
    var contentLength: Int?
    /// Nil also in records of Sluice 0.3.0, which accepted no coded bodies.
    var contentEncoding: String?
    var isParked: Bool
    /// The outcome that the job must end with, if its lane has not let go of it yet.
    var ending: Outcome?

    init(_ job: JobRecord) {
        id = job.id
        sequence = job.number.sequence
        request = job.request.parameters
        processID = job.owner.processID
        userID = job.owner.userID
        groupID = job.owner.groupID
        program = job.program
        createdUsec = job.createdUsec
        createdUptimeUsec = job.createdUptimeUsec
        startedUsec = job.attempts.firstUsec
        deadlineUptimeUsec = job.deadlineUptimeUsec
        attempts = job.attempts.count
        attemptLog = job.attempts.log
        policy = job.policy
        known = job.progress.known
        etag = job.response.etag
        httpStatus = job.response.status
        contentLength = job.response.contentLength
        contentEncoding = job.response.contentEncoding
        isParked = job.machine.publicState == .parked
        ending = job.machine.endingOutcome
    }

    /// The job, without its descriptors.
    ///
    /// - Throws: `RequestError` if the stored request is not one that the service accepts.
    func makeRecord() throws(RequestError) -> JobRecord {
        let request = try JobRequest(restoring: request)
        return JobRecord(
            self, request: request,
            // A job cannot have begun in the future. Durations that are measured from here must not overflow.
            createdUptimeUsec: max(
                0, min(createdUptimeUsec ?? Self.uptime(at: createdUsec), Uptime.microseconds())),
            deadlineUptimeUsec: (deadlineUptimeUsec ?? deadlineUsec.map(Self.uptime)).map { max(0, $0) },
            policy: policy.isPlausible ? policy : RetryPolicy(retries: request.retries))
    }

    private static func uptime(at timeOfDay: Int) -> Int {
        // The time is clamped to some 73,000 years, so that no stored number can overflow here.
        Uptime.microseconds() + (max(0, min(timeOfDay, 1 << 61)) - Realtime.microseconds())
    }

    var encoded: [UInt8]? { (try? JSONEncoder().encode(self)).map { [UInt8]($0) } }

    /// Decodes a record; nil if it is invalid or has another format.
    init?(encoded: [UInt8]) {
        guard let job = try? JSONDecoder().decode(StoredJob.self, from: Data(encoded)),
            job.format == Self.currentFormat
        else { return nil }
        self = job
    }
}
