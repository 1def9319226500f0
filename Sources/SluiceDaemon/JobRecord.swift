internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// A job with everything that belongs to it. Lives on the loop's thread.
final class JobRecord {
    /// The account as it was settled.
    struct Settlement {
        var received = 0
        var delivered = 0
        var gateClosures = 0
        var stalledUsec = 0
    }

    let id: String
    let request: JobRequest
    let owner: PeerCredentials
    let createdUsec = Realtime.microseconds()
    /// Counts the jobs of this service, in the order in which they came.
    var sequence = 0
    var machine = JobStateMachine()

    /// Where the body goes, until the job has ended: a pipe's write end, or an upgraded connection. The consumer sees
    /// an end of file when the last holder lets go, and that is this one.
    var sink: OwnedDescriptor?
    /// A pipe can be grown and watched; a connection is what it is.
    var sinkIsPipe = true
    /// Filled and emptied by the lane; what is in it is what the consumer has not got.
    var staging: OwnedDescriptor?
    var account: LedgerReader?
    var lane: LaneProcess?
    /// The lane's number for this job.
    var serial = 0

    /// The queue holds it, ended or not.
    var isInQueue = false

    var startedUsec: Int?
    var finishedUsec: Int?
    var attempts = 0
    var httpStatus: Int?
    var contentLength: Int?
    var settlement: Settlement?
    /// Buffers of its pipes, in bytes, as far as the budget knows.
    var pipeBytes = 0

    /// Sees a consumer that goes while the job waits.
    var sinkWatch: Watch?
    var deadline: Timer?
    var endDeadline: Timer?

    init(id: String, request: JobRequest, owner: PeerCredentials) {
        self.id = id
        self.request = request
        self.owner = owner
    }

    /// The job as others see it now. Costs two system calls while it runs, none before and after.
    func snapshot() -> Job {
        var job = Job(
            id: id, url: request.url.redacted, userID: Int(owner.userID), processID: Int(owner.processID),
            createdUsec: createdUsec, highWatermark: request.marks.high, lowWatermark: request.marks.low)
        job.state = machine.publicState
        job.outcome = machine.outcome
        job.startedUsec = startedUsec
        job.finishedUsec = finishedUsec
        job.attempts = attempts
        job.httpStatus = httpStatus
        job.contentLength = contentLength
        job.laneProcessID = lane.map { Int($0.processID) }
        let numbers = settlement ?? progress() ?? Settlement()
        job.bytesReceived = numbers.received
        job.bytesDelivered = numbers.delivered
        job.gateClosures = numbers.gateClosures
        job.stalledUsec = numbers.stalledUsec
        job.bytesBuffered = settlement == nil ? numbers.received - numbers.delivered : 0
        return job
    }

    /// Reads the account of a running job; nil where there is none, or where it contradicts itself.
    func progress() -> Settlement? {
        guard var account else { return nil }
        defer { self.account = account }
        do {
            let delivered = try account.delivered(staged: staging?.readableBytes() ?? 0)
            let entry = try account.read()
            return Settlement(
                received: Int(entry.received), delivered: delivered,
                gateClosures: Int(clamping: entry.gateClosures),
                stalledUsec: entry.stalledMicroseconds(now: Monotonic.nanoseconds()))
        } catch {
            return nil
        }
    }

    /// Closes the account, once no lane can write any more, and the pipe with it.
    ///
    /// - Returns: the outcome that the account confirms: the one given, or that it cannot be told.
    func settle(_ outcome: Outcome) -> Outcome {
        deadline?.cancel()
        sinkWatch?.cancel()
        sinkWatch = nil
        finishedUsec = Realtime.microseconds()
        var result = outcome
        if account != nil {
            if let numbers = progress() {
                settlement = numbers
                if let doubt = contradiction(outcome, numbers) {
                    result = Outcome(.deliveryUncertain, doubt)
                }
            } else {
                settlement = Settlement()
                result = Outcome(.deliveryUncertain, "the account of the job is damaged")
            }
        } else {
            settlement = Settlement()
        }
        sink = nil
        staging = nil
        account = nil
        lane = nil
        return result
    }

    /// What the account says against a body that the lane calls whole.
    private func contradiction(_ outcome: Outcome, _ numbers: Settlement) -> String? {
        switch outcome.code {
        case .complete, .completeUnverified:
            let expected = contentLength ?? numbers.received
            guard numbers.received != expected || numbers.delivered != expected else { return nil }
            return
                "the lane says that all \(expected) bytes were delivered, the account says \(numbers.delivered)"
        default:
            return nil
        }
    }
}

/// The time of day.
enum Realtime {
    /// Microseconds since 1970.
    static func microseconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }
}
