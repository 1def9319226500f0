internal import SluiceCore

/// What the two threads of a `Pump` share, under its lock: the account, and who has waited for whom since when.
struct PumpState {
    /// An origin that has to wait so long may give up, in ns.
    private static let longHold: UInt64 = 5_000_000_000
    /// If it did, that shows within so much time behind an open gate, in ns: what the kernel holds comes first.
    private static let holdShowsWithin: UInt64 = 5_000_000_000

    /// What a consumer has to take to count as one that reads, in bytes: what an ordinary pipe holds.
    private static let progress = 64 << 10

    /// A consumer is fast that takes so many bytes in so much time (ns), whether or not the origin is faster.
    private static let fastBytes = 512 << 10
    private static let fastTime: UInt64 = 100_000_000

    /// A time for which the gate was closed and the origin had to wait.
    private struct Hold {
        /// In ns.
        var length: UInt64
        /// When the gate opened.
        var end: UInt64
        /// How long the gate had been closed until then, altogether.
        var stalledAtItsEnd: UInt64
    }

    var chunks = ChunkQueue()
    var gate: WatermarkGate
    /// What may come in how much time.
    private var bucket: TokenBucket
    /// Closures of the gate in the job's earlier attempts.
    let closuresBefore: Int
    /// Bytes in the staging pipe.
    var staged = 0
    var stagingCapacity: Int
    /// Bytes that have gone into the staging pipe since the job began.
    var filled: Int
    var received: Int
    /// Bytes of this attempt that the consumer had before.
    var skipped = 0
    var isEnded = false
    /// The session's thread waits for room, or is about to.
    private(set) var isAwaited = false
    /// Since when the session's thread waits until what has come is paid for; 0 while it does not.
    private var pausedSince: UInt64 = 0
    /// How long it has, in this attempt.
    private var pausedNanoseconds: UInt64 = 0
    /// The loop's thread has been told to write what is gathered, and has not begun.
    var isHandedOver = false
    var originHasEnded = false
    /// The consumer's pipe was full at the last attempt.
    var isBlocked = false
    /// Bytes that have come since the last attempt.
    var arrivedSincePush = 0
    var isTicking = false
    var stallIsReported = false
    private(set) var holdIsReported = false
    var receivedAtLastTick: Int
    var blockedTicks = 0
    /// When the gate closed; 0 while it is open.
    var closedSince: UInt64 = 0
    private(set) var stalledNanoseconds: UInt64
    /// How long the gate had been closed in the job's earlier attempts.
    private let stalledBefore: UInt64
    /// When this attempt began.
    private let beganAt: UInt64
    /// The last long one.
    private var longHold: Hold?
    /// When the oldest of the gathered chunks came, or the last of those before them was written.
    var gatheredSince: UInt64 = 0
    /// When the origin last sent something, or was last allowed to.
    var originActive: UInt64
    /// When the consumer last took something, or was last offered something.
    private(set) var consumerActive: UInt64
    /// When it last had taken enough to count as reading, or was last offered something.
    private var progressSince: UInt64
    /// How much it had been given then.
    private var progressMark: Int
    /// Since when its speed is measured, and how much it had been given then.
    private var speedSince: UInt64
    private var speedMark: Int
    private(set) var isFast = false
    /// How long it may be held up before that is reported, in ns.
    private let parkAfter: UInt64

    /// - Parameters:
    ///   - before: the ledger as the job's earlier attempts left it.
    ///   - parkAfter: in seconds.
    ///   - rate: in bytes a second; nil for any.
    init(
        position: Int, marks: Watermarks, stagingCapacity: Int, before: LedgerEntry, parkAfter: Double,
        rate: Int?
    ) {
        gate = WatermarkGate(marks: marks)
        bucket = TokenBucket(rate: rate, at: Monotonic.nanoseconds())
        self.stagingCapacity = stagingCapacity
        filled = position
        received = position
        receivedAtLastTick = position
        // What another lane wrote is a claim: sums of it must fit.
        closuresBefore = Int(min(before.gateClosures, 1 << 40))
        stalledBefore = min(before.stalledNanoseconds, 1 << 62)
        stalledNanoseconds = stalledBefore
        originActive = Monotonic.nanoseconds()
        beganAt = originActive
        consumerActive = originActive
        progressSince = originActive
        progressMark = position
        speedSince = originActive
        speedMark = position
        self.parkAfter = UInt64(parkAfter * 1e9)
    }

    var delivered: Int { filled - staged }
    /// Nobody but the loop's thread will see that there is room.
    var needsWatch: Bool { isBlocked && !gate.isClosed && !isEnded }

    /// Whether the session's thread has to wait, which it does then.
    mutating func awaitsRoom() -> Bool {
        isAwaited = gate.isClosed && !isEnded
        return isAwaited
    }

    /// Its wait is over: it looks for itself whether there is room.
    mutating func hasWaited() {
        isAwaited = false
    }

    /// Whether ticks begin with this: bytes wait and nobody looks after them.
    mutating func startsTicking() -> Bool {
        guard gate.buffered > 0, !isTicking, !stallIsReported, !isEnded else { return false }
        isTicking = true
        return true
    }

    /// Bytes are offered to a consumer for whom none have waited.
    mutating func offers(at now: UInt64) {
        consumerActive = now
        progressSince = now
        progressMark = delivered
    }

    /// The consumer has taken something.
    mutating func consumerTook(at now: UInt64) {
        consumerActive = now
        // A page now and then is not reading: it could hold a lane for days.
        guard delivered - progressMark >= Self.progress else { return }
        progressSince = now
        progressMark = delivered
    }

    /// Whether it is news that the consumer is fast.
    mutating func noticesSpeed(at now: UInt64) -> Bool {
        guard !isFast, delivered - speedMark >= Self.fastBytes else { return false }
        isFast = now - speedSince <= Self.fastTime
        speedSince = now
        speedMark = delivered
        return isFast
    }

    /// Since when the consumer holds the transfer up: the gate is closed, or bytes wait and hardly any are taken.
    private var heldSince: UInt64? {
        guard gate.buffered > 0 else { return nil }
        return gate.isClosed ? min(closedSince, progressSince) : progressSince
    }

    /// Whether the consumer has held the transfer up for too long.
    private func isHeld(at now: UInt64) -> Bool {
        heldSince.map { now >= $0 + parkAfter } ?? false
    }

    /// Whether that is news.
    mutating func noticesHold(at now: UInt64) -> Bool {
        guard !holdIsReported, isHeld(at: now) else { return false }
        holdIsReported = true
        return true
    }

    /// Whether it is news that it no longer does.
    mutating func noticesRelease(at now: UInt64) -> Bool {
        guard holdIsReported, !isHeld(at: now) else { return false }
        holdIsReported = false
        return true
    }

    /// When to look for a hold; nil where there is no reason to.
    func millisecondsToHold(from now: UInt64) -> Int? {
        guard !holdIsReported, let heldSince else { return nil }
        let due = heldSince + parkAfter
        return due > now ? Int((due - now) / 1_000_000) + 1 : 0
    }

    /// How long the origin could have sent something in this attempt, in ns: the gate was open, and what had come was paid
    /// for.
    func openTime(at now: UInt64) -> UInt64 {
        let closed = stalledNanoseconds - stalledBefore + (closedSince > 0 ? now - closedSince : 0)
        let paused = pausedNanoseconds + (pausedSince > 0 ? now - pausedSince : 0)
        return now - beganAt - closed - paused
    }

    // MARK: The rate

    /// Whether the session's thread waits because of the rate.
    var isPaused: Bool { pausedSince > 0 }

    /// So many bytes have come from the origin.
    mutating func pay(for bytes: Int, at now: UInt64) {
        bucket.take(bytes, at: now)
    }

    mutating func setRate(_ rate: Int?, at now: UInt64) {
        bucket.setRate(rate, at: now)
    }

    /// How long the session's thread has to wait from now on, in ns, which it does then; 0 for not at all.
    mutating func pauses(at now: UInt64) -> UInt64 {
        let wait = isEnded ? 0 : bucket.wait(at: now)
        if wait > 0 {
            if pausedSince == 0 { pausedSince = now }
        } else if pausedSince > 0 {
            pausedNanoseconds += now - pausedSince
            pausedSince = 0
            originActive = now
        }
        return wait
    }

    /// The gate has opened; false where it was open.
    mutating func gateHasOpened(at now: UInt64) -> Bool {
        guard closedSince > 0 else { return false }
        let length = now - closedSince
        stalledNanoseconds += length
        closedSince = 0
        originActive = now
        if length >= Self.longHold {
            longHold = Hold(length: length, end: now, stalledAtItsEnd: stalledNanoseconds)
        }
        return true
    }

    /// How long the origin had to wait before the gate last opened after a long time, if that was just now.
    func recentHold(at now: UInt64) -> Duration? {
        guard let longHold else { return nil }
        // Time behind a closed gate is none in which it could have shown.
        let closedSinceThen = stalledNanoseconds - longHold.stalledAtItsEnd
        guard now - longHold.end - closedSinceThen <= Self.holdShowsWithin else { return nil }
        return .nanoseconds(Int64(clamping: longHold.length))
    }
}
