internal import FoundationEssentials
internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// A job as it is written down for the next process of the service: everything but the bytes and their account, which
/// are in the ledger. Lanes never see it.
struct StoredJob: Codable, Sendable {
    /// Of this form; another one is not read.
    static let currentFormat = 1

    var format = StoredJob.currentFormat
    var id: String
    var sequence: Int
    var request: Ingest.FetchParameters
    var processID: Int32
    var userID: UInt32
    var groupID: UInt32
    /// Nil also in what 0.3.0 has written, which did not ask.
    var program: String?
    var createdUsec: Int
    /// Nil in what 0.2.0 has written, which knew the time of day alone; so are the other ones of `Uptime`.
    var createdUptimeUsec: Int?
    var startedUsec: Int?
    var deadlineUptimeUsec: Int?
    /// Written by 0.2.0 in place of it.
    var deadlineUsec: Int?
    var attempts: Int
    var attemptLog: [Attempt]
    var policy: RetryPolicy
    var known: Representation?
    var etag: String?
    var httpStatus: Int?
    var contentLength: Int?
    /// Nil also in what 0.3.0 has written, which took no coded bodies.
    var contentEncoding: String?
    var isParked: Bool
    /// It was to end like this, and its lane had not let go of it.
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
    /// - Throws: `RequestError`, where a request is stored that was never accepted.
    func makeRecord() throws(RequestError) -> JobRecord {
        let request = try JobRequest(restoring: request)
        return JobRecord(
            self, request: request,
            // Nothing was begun in the future; what is measured from here must not overflow.
            createdUptimeUsec: max(
                0, min(createdUptimeUsec ?? Self.uptime(at: createdUsec), Uptime.microseconds())),
            deadlineUptimeUsec: (deadlineUptimeUsec ?? deadlineUsec.map(Self.uptime)).map { max(0, $0) },
            policy: policy.isPlausible ? policy : RetryPolicy(retries: request.retries))
    }

    private static func uptime(at timeOfDay: Int) -> Int {
        // Within 100,000 years: nothing that was stored may overflow here.
        Uptime.microseconds() + (max(0, min(timeOfDay, 1 << 61)) - Realtime.microseconds())
    }

    var encoded: [UInt8]? { (try? JSONEncoder().encode(self)).map { [UInt8]($0) } }

    /// Nil for what is no stored job, or one of another form.
    init?(encoded: [UInt8]) {
        guard let job = try? JSONDecoder().decode(StoredJob.self, from: Data(encoded)),
            job.format == Self.currentFormat
        else { return nil }
        self = job
    }
}
