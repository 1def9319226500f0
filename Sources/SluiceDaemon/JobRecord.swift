internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// A job with everything that belongs to it. Lives on the loop's thread.
final class JobRecord {
    /// As many attempts are remembered, the latest.
    static let rememberedAttempts = 20

    let id: String
    let request: JobRequest
    let owner: PeerCredentials
    /// The owner's executable, as far as it could be seen.
    var program: String?
    let createdUsec: Int
    /// The same on the clock that nobody sets (`Uptime`).
    let createdUptimeUsec: Int
    /// Counts the jobs of this service, in the order in which they came.
    var sequence = 0
    var machine = JobStateMachine()

    /// Where the body goes, until the job has ended: a pipe's write end, or an upgraded connection. The consumer sees
    /// an end of file when the last holder lets go, and that is this one.
    var sink: OwnedDescriptor?
    /// A pipe can be grown and watched; a connection is what it is.
    var sinkIsPipe = true
    /// What has been received and delivered; nil before the first attempt, and after the end.
    var account: JobAccount?
    /// How many bytes the consumer has, while no lane is at work.
    var position = 0
    /// What these bytes are of.
    var known: Representation?
    var lane: LaneProcess?
    /// The lane's number for this job.
    var serial = 0
    var policy: RetryPolicy

    /// Where it waits, ended or not.
    var place = JobQueue.Place.none
    /// Its place in the queue among all; 0 before it had one.
    var ticket = 0
    /// The host that it waits for, where that has slots.
    var limitedHost: String?
    /// The host at which it has a slot.
    var slot: String?
    /// How many bytes the consumer had when an attempt last failed.
    var deliveredAtFailure = 0
    /// What the last attempt had delivered when the job was parked, in bytes; nil where it was not.
    var deliveredBeforePark: Int?
    /// When it was put there (`Monotonic`).
    var queuedAt: UInt64 = 0
    /// When a lane was given its latest order (`Monotonic`).
    var orderedAt: UInt64 = 0
    /// It shall be put into the queue as soon as its lane has let go of it.
    var wantsLane = false

    var startedUsec: Int?
    var finishedUsec: Int?
    /// When its time is over, in µs of `Uptime`: an hour that somebody sets the time of day forward by is nobody's fault.
    var deadlineUptimeUsec: Int?
    var attempts = 0
    var attemptLog: [Attempt] = []
    /// Orders that no lane has lived to take.
    var lostOrders = 0
    /// When the next attempt begins, while it waits for that.
    var retryUsec: Int?
    var httpStatus: Int?
    var contentLength: Int?
    var contentEncoding: String?
    var etag: String?
    var digest: BodyDigest?
    var settlement: JobAccount.Numbers?
    /// What is told of it from its end on.
    var ended: EndedJob?
    /// Buffers of its pipes, in bytes, as far as the budget knows.
    var pipeBytes = 0
    /// What the service manager keeps of it.
    var stored: StoredEntry?

    /// Sees a consumer that goes while no lane is at work.
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

    /// The job as others see it now. Costs two system calls while it runs, none before and after.
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
        // What the last attempt had and the consumer did not get is dropped, also while the account still has it.
        let received = machine.isBetweenAttempts ? numbers.delivered : numbers.received
        job.bytesReceived = received
        job.bytesDelivered = numbers.delivered
        job.gateClosures = numbers.gateClosures
        job.stalledUsec = numbers.stalledUsec
        job.bytesBuffered = settlement == nil ? received - numbers.delivered : 0
        return job
    }

    /// Where the next attempt will ask.
    var origin: Origin {
        guard position > 0, let url = known?.url, let place = try? RequestURL(url) else {
            return request.url.origin
        }
        return place.origin
    }

    /// Until its time is over; negative after that, nil where it has all the time.
    var secondsLeft: Double? { deadlineUptimeUsec.map { Double($0 - Uptime.microseconds()) / 1e6 } }

    /// Bytes that the consumer has.
    var delivered: Int { numbers.delivered }

    /// What it has got so far. Costs two system calls while it runs.
    var numbers: JobAccount.Numbers {
        settlement ?? account?.numbers() ?? JobAccount.Numbers(received: position, delivered: position)
    }

    /// Takes over what is known of the body, for others to see.
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

    /// Takes back an attempt that never was one: no lane has had the order.
    func forgetAttempt() {
        attempts -= 1
        _ = attemptLog.popLast()
    }

    /// A response has this status: of the job the last there was, and of the attempt that runs its own.
    func noteStatus(_ status: Int) {
        httpStatus = status
        guard let last = attemptLog.indices.last, attemptLog[last].endedUsec == nil else { return }
        attemptLog[last].httpStatus = status
    }

    /// - Parameter outcome: why it is over; nil where the job is parked.
    func endAttempt(_ outcome: Outcome?) {
        guard var attempt = attemptLog.last, attempt.endedUsec == nil else { return }
        attempt.endedUsec = Realtime.microseconds()
        attempt.code = outcome?.code
        attempt.message = outcome?.message
        attemptLog[attemptLog.count - 1] = attempt
    }

    // MARK: The end

    /// Closes the account, once no lane can write any more, and the pipe with it.
    ///
    /// - Returns: the outcome that the account confirms: the one given, or that it cannot be told.
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

    /// What the account says against a body that the lane calls whole.
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

/// The time of day, for people. It may jump: nothing is to be measured with it.
enum Realtime {
    /// Microseconds since 1970.
    static func microseconds() -> Int { microsecondsOf(CLOCK_REALTIME) }
}

/// The clock that goes on through everything but a restart of the machine, also for the next process of the service
/// (`clock_gettime(2)`, CLOCK_BOOTTIME). Timers use the same one.
enum Uptime {
    /// Microseconds since the machine's start.
    static func microseconds() -> Int { microsecondsOf(CLOCK_BOOTTIME) }
}

private func microsecondsOf(_ clock: clockid_t) -> Int {
    var now = timespec()
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
