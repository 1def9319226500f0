internal import SluiceCore
internal import SluiceInterface
internal import Unix

/// The attempts of one job. Times are in µs since 1970.
struct JobAttempts {
    /// The number of attempts that are remembered one by one, the latest.
    static let remembered = 20

    /// The number of attempts that have begun.
    private(set) var count = 0
    private(set) var log: [Attempt] = []
    /// When the first one began.
    private(set) var firstUsec: Int?
    /// When the next one begins, while the job waits for that.
    private(set) var nextUsec: Int?
    /// The number of orders that were lost because the lane was dead before it had read them.
    private(set) var lostOrders = 0

    init() {}

    /// What an earlier process of the service has written down.
    init(count: Int, log: [Attempt], firstUsec: Int?) {
        self.count = count
        self.log = log
        self.firstUsec = firstUsec
    }

    /// Why the latest failed attempt failed.
    var lastFailure: String? { log.last { $0.code != nil }?.message }

    /// - Parameter position: the number of bytes that the consumer has.
    mutating func begin(at position: Int) {
        count += 1
        let now = Realtime.microseconds()
        if firstUsec == nil { firstUsec = now }
        log.append(Attempt(number: count, position: position, startedUsec: now))
        if log.count > Self.remembered { log.removeFirst() }
    }

    /// Takes back an attempt that never was one: no lane has read the order.
    mutating func orderWasLost() {
        count -= 1
        lostOrders += 1
        _ = log.popLast()
    }

    /// A response of the attempt that runs has this status.
    mutating func noteStatus(_ status: Int) {
        guard let last = log.indices.last, log[last].endedUsec == nil else { return }
        log[last].httpStatus = status
    }

    /// - Parameter outcome: why it is over; nil where the job is parked.
    mutating func end(_ outcome: Outcome?) {
        guard var attempt = log.last, attempt.endedUsec == nil else { return }
        attempt.endedUsec = Realtime.microseconds()
        attempt.code = outcome?.code
        attempt.message = outcome?.message
        log[log.count - 1] = attempt
    }

    /// The next one begins after a pause, in seconds.
    mutating func pause(_ seconds: Double) {
        nextUsec = Realtime.microseconds() + Int(seconds * 1e6)
    }

    mutating func pauseIsOver() { nextUsec = nil }
}
