internal import SluiceCore

/// What the two threads of a `Pump` share, under its lock: what waits, what has been passed on, and the rules that watch
/// origin and consumer.
struct PumpState {
    var chunks = ChunkQueue()
    var gate: WatermarkGate
    var origin: OriginTurn
    var consumer: ConsumerWatch
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
    /// The loop's thread has been told to write what is gathered, and has not begun.
    var isHandedOver = false
    var originHasEnded = false
    /// The consumer's pipe was full at the last attempt.
    var isBlocked = false
    /// Bytes that have come since the last attempt.
    var arrivedSincePush = 0
    var isTicking = false
    var stallIsReported = false
    var receivedAtLastTick: Int
    var blockedTicks = 0
    /// When the oldest of the gathered chunks came, or the last of those before them was written.
    var gatheredSince: UInt64 = 0

    /// - Parameters:
    ///   - before: the ledger as the job's earlier attempts left it.
    ///   - parkAfter: in seconds.
    ///   - rate: in bytes a second; nil for any.
    init(
        position: Int, marks: Watermarks, stagingCapacity: Int, before: LedgerEntry, parkAfter: Double,
        rate: Int?, at now: UInt64 = Monotonic.nanoseconds()
    ) {
        gate = WatermarkGate(marks: marks)
        origin = OriginTurn(closedBefore: before.stalledNanoseconds, at: now)
        consumer = ConsumerWatch(delivered: position, holdAfter: parkAfter, at: now)
        bucket = TokenBucket(rate: rate, at: now)
        self.stagingCapacity = stagingCapacity
        filled = position
        received = position
        receivedAtLastTick = position
        // What another lane wrote is a claim: sums of it must fit.
        closuresBefore = Int(min(before.gateClosures, 1 << 40))
    }

    var delivered: Int { filled - staged }
    /// Nobody but the loop's thread will see that there is room.
    var needsWatch: Bool { isBlocked && !gate.isClosed && !isEnded }
    /// How the gate stands, for the consumer's watch.
    var stand: ConsumerWatch.Gate {
        ConsumerWatch.Gate(holdsBytes: gate.buffered > 0, closedSince: origin.closedSince)
    }

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

    // MARK: The rate

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
        if wait > 0 { origin.pauses(at: now) } else { origin.goesOn(at: now) }
        return wait
    }
}
