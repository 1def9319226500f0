internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// A job with everything that belongs to it. Lives on the loop's thread.
final class JobRecord {
    /// The number of latest attempts that are remembered.
    static let rememberedAttempts = 20

    let id: String
    let request: JobRequest
    let owner: PeerCredentials
    /// The owner's executable, as far as it could be seen.
    var program: String?
    let createdUsec: Int
    /// The same moment on a clock that cannot be set (`Uptime`).
    let createdUptimeUsec: Int
    /// The job's number in the order in which the jobs of this service came.
    var sequence = 0
    var machine = JobStateMachine()

    /// Where the body goes, until the job has ended: a pipe's write end, or an upgraded connection. The consumer sees
    /// an end of file when the last holder closes it, which is this record.
    var sink: OwnedDescriptor?
    /// The sink is a pipe, whose buffer can be grown, and not a connection.
    var sinkIsPipe = true
    /// What has been received and delivered; nil before the first attempt, and after the end.
    var account: JobAccount?
    /// The number of bytes that the consumer has, while no lane is at work.
    var position = 0
    /// The representation that these bytes are of.
    var known: Representation?
    var lane: LaneProcess?
    /// The serial number of the latest order for this job.
    var serial = 0
    var policy: RetryPolicy

    /// Where the job waits. It may still be there after its end.
    var place = JobQueue.Place.none
    /// Its rank in the queue among all jobs; 0 before it has one.
    var ticket = 0
    /// The job's host, if the settings limit the number of jobs there.
    var limitedHost: String?
    /// The host at which it has a slot.
    var slot: String?
    /// The number of bytes that the consumer had when an attempt last failed.
    var deliveredAtFailure = 0
    /// What the last attempt had delivered when the job was parked, in bytes; nil if it was not parked.
    var deliveredBeforePark: Int?
    /// When the job was put into the queue (`Monotonic`).
    var queuedAt: UInt64 = 0
    /// When a lane was given its latest order (`Monotonic`).
    var orderedAt: UInt64 = 0
    /// The job must be put into the queue as soon as its lane has let go of it.
    var wantsLane = false

    var startedUsec: Int?
    var finishedUsec: Int?
    /// The deadline, in microseconds of `Uptime`, so that it is unaffected by wall-clock changes.
    var deadlineUptimeUsec: Int?
    var attempts = 0
    var attemptLog: [Attempt] = []
    /// The number of orders whose lane ended before it took them.
    var lostOrders = 0
    /// When the next attempt begins, while the job waits for it.
    var retryUsec: Int?
    var httpStatus: Int?
    var contentLength: Int?
    var contentEncoding: String?
    var etag: String?
    var digest: BodyDigest?
    var settlement: JobAccount.Numbers?
    /// The job as clients see it after its end.
    var ended: EndedJob?
    /// The buffers of the job's pipes, in bytes, as far as the budget knows.
    var pipeBytes = 0
    /// What the service manager's store holds of the job.
    var stored: StoredEntry?

    /// Detects that the consumer closes the sink while no lane is at work.
    var sinkWatch: Watch?
    var deadline: Timer?
    var endDeadline: Timer?
    var pause: Timer?

    init(
        id: String, request: JobRequest, owner: PeerCredentials, createdUsec: Int = Realtime.microseconds(),
        createdUptimeUsec: Int = Uptime.microseconds()
    ) {
        self.id = id
        self.request = request
        self.owner = owner
        self.createdUsec = createdUsec
        self.createdUptimeUsec = createdUptimeUsec
        policy = RetryPolicy(retries: request.retries)
    }

    /// The job as clients see it now. Costs two system calls while the job runs, none before and after.
    func snapshot() -> Job {
        if let ended { return ended.job }
        var job = Job(
            id: id, url: request.url.redacted, userID: Int(owner.userID), processID: Int(owner.processID),
            createdUsec: createdUsec, highWatermark: request.marks.high, lowWatermark: request.marks.low)
        job.state = machine.publicState
        job.outcome = machine.outcome
        job.startedUsec = startedUsec
        job.finishedUsec = finishedUsec
        job.attempts = attempts
        job.attemptLog = attemptLog
        job.retryUsec = retryUsec
        job.httpStatus = httpStatus
        job.contentLength = contentLength
        job.contentEncoding = contentEncoding
        job.etag = etag
        job.digest = digest?.description
        job.laneProcessID = lane.map { Int($0.processID) }
        let numbers = settlement ?? account?.numbers() ?? JobAccount.Numbers()
        // Bytes of the last attempt that the consumer did not get will be dropped, even if the account still counts
        // them.
        let received = machine.isBetweenAttempts ? numbers.delivered : numbers.received
        job.bytesReceived = received
        job.bytesDelivered = numbers.delivered
        job.gateClosures = numbers.gateClosures
        job.stalledUsec = numbers.stalledUsec
        job.bytesBuffered = settlement == nil ? received - numbers.delivered : 0
        return job
    }

    /// The origin that the next attempt will ask.
    var origin: Origin {
        guard position > 0, let url = known?.url, let place = try? RequestURL(url) else {
            return request.url.origin
        }
        return place.origin
    }

    /// The time until the deadline; negative after it, nil if the job has none.
    var secondsLeft: Double? { deadlineUptimeUsec.map { Double($0 - Uptime.microseconds()) / 1e6 } }

    /// The number of bytes that the consumer has.
    var delivered: Int { numbers.delivered }

    /// The job's numbers so far. Costs two system calls while the job runs.
    var numbers: JobAccount.Numbers {
        settlement ?? account?.numbers() ?? JobAccount.Numbers(received: position, delivered: position)
    }

    /// Copies what is known of the body to where clients see it.
    func describeBody() {
        contentLength = known?.length
        contentEncoding = known?.coding
    }

    // MARK: Attempts

    func beginAttempt() {
        attempts += 1
        let now = Realtime.microseconds()
        if startedUsec == nil { startedUsec = now }
        attemptLog.append(Attempt(number: attempts, position: position, startedUsec: now))
        if attemptLog.count > Self.rememberedAttempts { attemptLog.removeFirst() }
    }

    /// Takes back an attempt that never began, because no lane has had the order.
    func forgetAttempt() {
        attempts -= 1
        _ = attemptLog.popLast()
    }

    /// Records the status of a response, for the job and for the attempt that runs.
    func noteStatus(_ status: Int) {
        httpStatus = status
        guard let last = attemptLog.indices.last, attemptLog[last].endedUsec == nil else { return }
        attemptLog[last].httpStatus = status
    }

    /// - Parameter outcome: why the attempt has ended; nil if the job is parked.
    func endAttempt(_ outcome: Outcome?) {
        guard var attempt = attemptLog.last, attempt.endedUsec == nil else { return }
        attempt.endedUsec = Realtime.microseconds()
        attempt.code = outcome?.code
        attempt.message = outcome?.message
        attemptLog[attemptLog.count - 1] = attempt
    }

    // MARK: The end

    /// Closes the account, and the staging pipe with it. No lane may be able to write any more.
    ///
    /// - Returns: the given outcome if the account confirms it, else one that says that the delivery is uncertain.
    func settle(_ outcome: Outcome) -> Outcome {
        for timer in [deadline, pause] { timer?.cancel() }
        sinkWatch?.cancel()
        sinkWatch = nil
        retryUsec = nil
        finishedUsec = Realtime.microseconds()
        var result = outcome
        if let account {
            if let numbers = account.numbers() {
                settlement = numbers
                if let doubt = contradiction(outcome, numbers) { result = Outcome(.deliveryUncertain, doubt) }
            } else {
                settlement = JobAccount.Numbers()
                result = .accountIsDamaged
            }
        } else {
            settlement = JobAccount.Numbers()
        }
        if result.code.state != .complete, result.code != .digestMismatch { digest = nil }
        endAttempt(result)
        account = nil
        lane = nil
        return result
    }

    /// How the account contradicts a lane that reports a complete body; nil if it does not.
    private func contradiction(_ outcome: Outcome, _ numbers: JobAccount.Numbers) -> String? {
        switch outcome.code {
        case .complete, .completeUnverified, .unchanged:
            let expected = outcome.code == .unchanged ? 0 : contentLength ?? numbers.received
            guard numbers.received != expected || numbers.delivered != expected else { return nil }
            return
                "the lane says that all \(expected) bytes were delivered, the account says \(numbers.delivered)"
        default:
            return nil
        }
    }
}

/// The time of day, for people to read. It may jump, so it must not be used to measure time.
enum Realtime {
    /// Microseconds since 1970.
    static func microseconds() -> Int { microsecondsOf(CLOCK_REALTIME) }
}

/// The clock that counts from the machine's start, suspended time included, and that the next process of the service
/// shares (`clock_gettime(2)`, CLOCK_BOOTTIME). Timers use the same clock.
enum Uptime {
    /// Microseconds since the machine's start.
    static func microseconds() -> Int { microsecondsOf(CLOCK_BOOTTIME) }
}

private func microsecondsOf(_ clock: clockid_t) -> Int {
    var now = timespec()
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
