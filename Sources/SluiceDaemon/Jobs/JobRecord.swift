internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// A job with everything that belongs to it. What changes is in values that have one writer each.
///
/// Belongs to the loop's thread.
final class JobRecord {
    let id: String
    let request: JobRequest
    let owner: PeerCredentials
    /// The owner's executable, as far as the service could see it.
    let program: String?
    /// In µs since 1970.
    let createdUsec: Int
    /// The same moment on a clock that cannot be set (`Uptime`).
    let createdUptimeUsec: Int
    /// The deadline, in µs of `Uptime`, so that it is unaffected by wall-clock changes.
    let deadlineUptimeUsec: Int?

    var machine: JobStateMachine
    var policy: RetryPolicy
    var attempts: JobAttempts
    var response: JobResponse
    var progress: JobProgress
    /// Nil before the job is accepted, and after its end.
    var sink: JobSink?
    /// The lane that has the job's order.
    var assignment = Assignment()
    /// Its number in the table of all jobs.
    var number = JobTable.Number()
    /// Its standing in the queue, and in a line of it.
    var queue = JobQueue.Standing()
    var line = UserLines.Standing()
    /// The buffers of its pipes.
    var charge = PipeCharge()
    /// What the service manager keeps of it.
    var stored: StoredEntry?
    var timers = Timers()
    /// The job as clients see it after its end.
    private(set) var ended: EndedJob?

    /// The lane that has the job's order, if one has.
    struct Assignment {
        var lane: Lane?
        /// The lane's number for this job.
        var serial = 0
        /// When the order was given (`Monotonic`).
        var orderedAt: UInt64 = 0
        /// When the job was last put into the queue (`Monotonic`).
        var queuedAt: UInt64 = 0
        /// The job has to be put into the queue as soon as its lane is idle.
        var wantsLane = false
    }

    struct Timers {
        /// Ends the job.
        var deadline: Timer?
        /// Replaces a lane that does not end the transfer.
        var laneEnd: Timer?
        /// Ends the pause between two attempts.
        var pause: Timer?
    }

    /// A new job.
    init(id: String, request: JobRequest, owner: PeerCredentials, program: String? = nil) {
        self.id = id
        self.request = request
        self.owner = owner
        self.program = program
        createdUsec = Realtime.microseconds()
        createdUptimeUsec = Uptime.microseconds()
        deadlineUptimeUsec = request.timeouts.deadline.map { [createdUptimeUsec] in
            createdUptimeUsec + Int($0 * 1e6)
        }
        policy = RetryPolicy(retries: request.retries)
        machine = JobStateMachine()
        attempts = JobAttempts()
        response = JobResponse()
        progress = JobProgress()
    }

    /// A job that an earlier process of the service has written down.
    init(
        _ stored: StoredJob, request: JobRequest, createdUptimeUsec: Int, deadlineUptimeUsec: Int?,
        policy: RetryPolicy
    ) {
        id = stored.id
        self.request = request
        owner = PeerCredentials(
            processID: stored.processID, userID: stored.userID, groupID: stored.groupID)
        program = stored.program
        createdUsec = stored.createdUsec
        self.createdUptimeUsec = createdUptimeUsec
        self.deadlineUptimeUsec = deadlineUptimeUsec
        self.policy = policy
        machine = JobStateMachine()
        attempts = JobAttempts(
            count: stored.attempts, log: stored.attemptLog, firstUsec: stored.startedUsec)
        response = JobResponse(
            status: stored.httpStatus, contentLength: stored.contentLength,
            contentEncoding: stored.contentEncoding, etag: stored.etag)
        progress = JobProgress(known: stored.known)
    }

    /// The job as clients see it now. Costs two system calls while the job runs, none before and after.
    func snapshot() -> Job {
        if let ended { return ended.job }
        var job = Job(
            id: id, url: request.url.redacted, userID: Int(owner.userID), processID: Int(owner.processID),
            createdUsec: createdUsec, highWatermark: request.marks.high, lowWatermark: request.marks.low)
        job.state = machine.publicState
        job.outcome = machine.outcome
        job.startedUsec = attempts.firstUsec
        job.attempts = attempts.count
        job.attemptLog = attempts.log
        job.retryUsec = attempts.nextUsec
        job.httpStatus = response.status
        job.contentLength = response.contentLength
        job.contentEncoding = response.contentEncoding
        job.etag = response.etag
        job.digest = response.digest?.description
        job.laneProcessID = assignment.lane.map { Int($0.processID) }
        let numbers = progress.settlement ?? progress.account?.numbers() ?? JobAccount.Numbers()
        // Bytes of the last attempt that the consumer did not get will be dropped, even if the account still counts
        // them.
        let received = machine.isBetweenAttempts ? numbers.delivered : numbers.received
        job.bytesReceived = received
        job.bytesDelivered = numbers.delivered
        job.gateClosures = numbers.gateClosures
        job.stalledUsec = numbers.stalledUsec
        job.bytesBuffered = progress.settlement == nil ? received - numbers.delivered : 0
        return job
    }

    /// The origin that the next attempt will ask.
    var origin: Origin {
        guard progress.position > 0, let url = progress.known?.url, let place = try? RequestURL(url) else {
            return request.url.origin
        }
        return place.origin
    }

    /// The time until the deadline, in seconds; negative after it, nil if the job has none.
    var secondsLeft: Double? { deadlineUptimeUsec.map { Double($0 - Uptime.microseconds()) / 1e6 } }

    // MARK: What lanes tell

    func note(_ facts: ResponseFacts) {
        attempts.noteStatus(facts.status)
        response.noteStatus(facts.status)
        if progress.learn(from: facts) { response.noteETag(facts.etag) }
        response.describe(progress.known)
    }

    func note(_ facts: EndFacts) {
        if let status = facts.status { attempts.noteStatus(status) }
        response.ended(facts)
    }

    // MARK: The end

    /// Closes the account, and the staging pipe with it. No lane may be able to write any more.
    ///
    /// - Returns: the given outcome if the account confirms it, else one that says that the delivery is uncertain.
    func settle(_ outcome: Outcome) -> Outcome {
        for timer in [timers.deadline, timers.pause] { timer?.cancel() }
        sink?.stopWatching()
        attempts.pauseIsOver()
        var result = outcome
        let hadAccount = progress.account != nil
        if let numbers = progress.settle() {
            if hadAccount, let doubt = contradiction(outcome, numbers) {
                result = Outcome(.deliveryUncertain, doubt)
            }
        } else {
            result = .accountIsDamaged
        }
        if result.code.state != .complete, result.code != .digestMismatch { response.dropDigest() }
        attempts.end(result)
        assignment.lane = nil
        return result
    }

    /// Fixes what clients see of the job from now on.
    func close() -> EndedJob {
        var job = snapshot()
        job.finishedUsec = Realtime.microseconds()
        let ended = EndedJob(job)
        self.ended = ended
        return ended
    }

    /// How the account contradicts a lane that reports a complete body; nil if it does not.
    private func contradiction(_ outcome: Outcome, _ numbers: JobAccount.Numbers) -> String? {
        switch outcome.code {
        case .complete, .completeUnverified, .unchanged:
            let expected = outcome.code == .unchanged ? 0 : response.contentLength ?? numbers.received
            guard numbers.received != expected || numbers.delivered != expected else { return nil }
            return
                "the lane says that all \(expected) bytes were delivered, the account says \(numbers.delivered)"
        default:
            return nil
        }
    }
}
