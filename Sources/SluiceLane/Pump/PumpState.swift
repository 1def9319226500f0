internal import LaneProtocol
internal import SluiceCore

/// The state that the two threads of a `Pump` share, under its lock: the bytes that wait, the bytes that have been
/// passed on, and the rules that watch origin and consumer.
struct PumpState {
    var chunks = ChunkQueue()
    var gate: WatermarkGate
    var origin: OriginTurn
    var consumer: ConsumerWatch
    /// The rate limit.
    private var bucket: TokenBucket
    /// Closures of the gate in the job's earlier attempts.
    let closuresBefore: Int
    /// Bytes in the staging pipe.
    var staged = 0
    var stagingCapacity: Int
    /// Bytes that have gone into the staging pipe since the job began.
    var filled: Int
    var received: Int
    /// Bytes of this attempt that were dropped because the consumer had them before.
    var skipped = 0
    var isEnded = false
    /// True if the session's thread waits for room, or is about to.
    private(set) var isAwaited = false
    /// True if the loop's thread has been told to write the gathered bytes, and has not begun.
    var isHandedOver = false
    var originHasEnded = false
    /// True if the consumer's pipe was full at the last write.
    var isBlocked = false
    /// Bytes that have come since the last write.
    var arrivedSincePush = 0
    var isTicking = false
    var stallIsReported = false
    var receivedAtLastTick: Int
    var blockedTicks = 0
    /// When the oldest gathered chunk came, or when the chunk before it was written.
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
        // What another lane wrote is a claim. It is bounded so that sums do not overflow.
        closuresBefore = Int(min(before.gateClosures, 1 << 40))
    }

    var delivered: Int { filled - staged }
    /// True if only the loop's thread can notice that the consumer's pipe has room.
    var needsWatch: Bool { isBlocked && !gate.isClosed && !isEnded }
    /// The state of the gate, for the consumer's watch.
    var stand: ConsumerWatch.Gate {
        ConsumerWatch.Gate(holdsBytes: gate.buffered > 0, closedSince: origin.closedSince)
    }

    /// Whether the session's thread must wait for room. If so, it waits after this call.
    mutating func awaitsRoom() -> Bool {
        isAwaited = gate.isClosed && !isEnded
        return isAwaited
    }

    /// The session's thread has ended its wait, and checks for room itself.
    mutating func hasWaited() {
        isAwaited = false
    }

    /// Whether the ticks must begin now: bytes wait, and there are no ticks and no watch for them.
    mutating func startsTicking() -> Bool {
        guard gate.buffered > 0, !isTicking, !stallIsReported, !isEnded else { return false }
        isTicking = true
        return true
    }

    // MARK: The rate

    /// Bytes have come from the origin.
    mutating func pay(for bytes: Int, at now: UInt64) {
        bucket.take(bytes, at: now)
    }

    mutating func setRate(_ rate: Int?, at now: UInt64) {
        bucket.setRate(rate, at: now)
    }

    /// How long the session's thread must wait because of the rate, in ns; 0 if it need not wait. If so, it waits after
    /// this call.
    mutating func pauses(at now: UInt64) -> UInt64 {
        let wait = isEnded ? 0 : bucket.wait(at: now)
        if wait > 0 { origin.pauses(at: now) } else { origin.goesOn(at: now) }
        return wait
    }
}
