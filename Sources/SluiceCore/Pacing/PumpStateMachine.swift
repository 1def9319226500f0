/// What a pump knows about one body on its way from the origin to the consumer, and what is to be done next.
///
/// Bytes come from the origin, are gathered until there are enough for a large write or until the origin pauses, are
/// written into a staging pipe (a fill), and are passed on to the consumer. The gate closes when too many wait.
///
/// A value without I/O: times are in ns of any monotonic clock, and bytes are counted from the body's beginning.
public struct PumpStateMachine: Sendable {
    /// The number of bytes for which a write is worth its system calls; also the capacity of a grown staging pipe.
    public static let gatherSize = 256 << 10
    /// A body of which this many bytes have come is a large one.
    public static let largeBody = 1 << 20
    /// How long the origin may pause before the gathered bytes are written, in ms.
    public static let pauseMilliseconds = 1
    /// How long a byte may be held back for a larger write while the origin does not pause, in ns.
    public static let longestGather: UInt64 = 5_000_000

    /// How far the body has come.
    private enum Phase {
        /// The origin may send more.
        case flowing
        /// The origin has sent its last byte; some may have to be passed on.
        case draining
        /// Nothing is written any more, and bytes that come are dropped.
        case ended
    }

    /// How the loop's thread attends to bytes that wait.
    private enum Attention {
        /// Nothing waits, or the session's thread attends to it.
        case none
        /// It looks again and again; at the last `blocked` looks the consumer's pipe was full.
        case ticking(blocked: Int)
        /// A stall is reported. It looks when the consumer's pipe has room.
        case stalled
    }

    private var phase = Phase.flowing
    private var attention = Attention.none
    private var gate: WatermarkGate
    private var origin: OriginTurn
    private var consumer: ConsumerWatch
    private var bucket: TokenBucket
    private let position: Int
    private let maximumSize: Int?
    private let stalledAfter: UInt64
    /// The number of times that the gate had closed in the job's earlier attempts.
    private let closuresBefore: Int

    /// Bytes of the body that have come, including those before the position.
    public private(set) var received: Int
    /// Bytes that have gone into the staging pipe since the job began.
    public private(set) var filled: Int
    /// Bytes in the staging pipe.
    private var staged = 0
    /// Bytes of this attempt that were dropped because the consumer had them before.
    private var skipped = 0
    private var stagingCapacity: Int
    /// Bytes that have come since the last write.
    private var arrivedSinceWrite = 0
    private var receivedAtLastTick: Int
    /// When the oldest gathered byte came, or when the one before it was written.
    private var gatheredSince: UInt64 = 0
    /// True if the consumer's pipe was full at the last write.
    private var isBlocked = false
    /// True if the session's thread waits for room, or is about to.
    private var isAwaited = false
    /// True if the loop's thread has been told to write the gathered bytes, and has not begun.
    private var isHandedOver = false

    /// A body of which `position` bytes have been passed on.
    ///
    /// - Parameters:
    ///   - position: how many bytes the consumer has.
    ///   - marks: when the gate closes and opens.
    ///   - maximumSize: the largest body that the job allows, in bytes; nil for any.
    ///   - stagingCapacity: in bytes.
    ///   - stalledAfter: how long the consumer may take nothing before that is reported, in seconds.
    ///   - parkAfter: how long the consumer may hold the transfer up before that is reported, in seconds.
    ///   - rate: in bytes a second; nil for any.
    ///   - closuresBefore: how many times the gate closed in earlier attempts. It is bounded here, as is
    ///     `closedBefore`, because another process wrote it.
    ///   - closedBefore: how long the gate was closed in earlier attempts, in ns.
    ///   - now: the present moment, in ns.
    public init(
        position: Int, marks: Watermarks, maximumSize: Int?, stagingCapacity: Int, stalledAfter: Double,
        parkAfter: Double, rate: Int?, closuresBefore: UInt64, closedBefore: UInt64, at now: UInt64
    ) {
        self.position = position
        self.maximumSize = maximumSize
        self.stagingCapacity = stagingCapacity
        self.stalledAfter = Nanoseconds.of(seconds: stalledAfter)
        self.closuresBefore = Int(min(closuresBefore, 1 << 40))
        gate = WatermarkGate(marks: marks)
        origin = OriginTurn(closedBefore: closedBefore, at: now)
        consumer = ConsumerWatch(delivered: position, holdAfter: parkAfter, at: now)
        bucket = TokenBucket(rate: rate, at: now)
        received = position
        filled = position
        receivedAtLastTick = position
    }

    // MARK: What is known

    /// Bytes of the body that have been passed on to the consumer, including those before the position.
    public var delivered: Int { filled - staged }
    /// Bytes that wait: gathered ones and those in the staging pipe.
    public var buffered: Int { gate.buffered }
    /// The number of times that the gate has closed, including earlier attempts.
    public var closures: Int { closuresBefore + gate.closures }
    /// How long the gate has been closed, including earlier attempts, without the present closure, in ns.
    public var closedTime: UInt64 { origin.closedTime }
    /// Whether nothing is written any more.
    public var hasEnded: Bool { if case .ended = phase { true } else { false } }
    /// Whether the origin has sent its last byte, and bytes may still have to be passed on.
    public var isDraining: Bool { if case .draining = phase { true } else { false } }
    /// Whether nothing may arrive until the consumer has taken some.
    public var isGateClosed: Bool { gate.isClosed }
    /// Whether the session's thread must wait because of the rate, or did at its last look.
    public var isPaused: Bool { origin.isPaused }
    /// Whether the staging pipe has the size of a new one, and will not be grown.
    public var stagingIsOrdinary: Bool { stagingCapacity <= PipeBudget.ordinaryCapacity && !consumer.isFast }
    /// Whether only the loop's thread can notice that the consumer's pipe has room.
    public var needsWatch: Bool { isBlocked && !gate.isClosed && !hasEnded }

    private var gathered: Int { received - filled }
    /// The gathered bytes for which a write is worth its system calls.
    private var worthWriting: Int { min(Self.gatherSize, stagingCapacity) }
    /// Whether a stall is reported, and nothing has moved since.
    public var isStalled: Bool { if case .stalled = attention { true } else { false } }
    private var isTicking: Bool { if case .ticking = attention { true } else { false } }
    /// The state of the gate, for the consumer's watch.
    private var gateState: ConsumerWatch.Gate {
        ConsumerWatch.Gate(holdsBytes: gate.buffered > 0, closedSince: origin.closedSince)
    }

    /// How long the origin has been silent behind an open gate, in ns; nil while it cannot send, and once it has ended.
    public func originSilence(at now: UInt64) -> UInt64? {
        guard case .flowing = phase else { return nil }
        return origin.silence(at: now)
    }

    /// What the origin has sent so far; nil once the origin or the job has ended.
    public func originPace(at now: UInt64) -> OriginPace? {
        guard case .flowing = phase else { return nil }
        return OriginPace(
            openTime: origin.openTime(at: now), received: received + skipped, isHeldBack: origin.isHeldBack)
    }

    /// The length of the last long time that the origin had to wait, if that ended recently (`OriginTurn.recentWait`).
    public func recentWait(at now: UInt64) -> Duration? { origin.recentWait(at: now) }

    // MARK: From the origin

    /// What is to be done with bytes that have come.
    public enum Arrival: Sendable, Equatable {
        /// They are dropped: the job or the body has ended.
        case drop
        /// They are more than the job allows, and are dropped.
        case tooLarge
        /// They are kept.
        case keep(Write)
    }

    /// When gathered bytes are written.
    public enum Write: Sendable, Equatable {
        /// Later. If `handsOver`, the loop's thread writes them now; if `startsTicking`, its ticks must begin.
        case later(handsOver: Bool, startsTicking: Bool)
        /// Now, by the thread that has received them: all of them, or as many as make full writes.
        case now(everything: Bool)
    }

    /// Bytes of the body have come.
    public mutating func arrives(_ bytes: Int, at now: UInt64) -> Arrival {
        guard case .flowing = phase else { return .drop }
        if let maximumSize, received + bytes > maximumSize { return .tooLarge }
        let hadPaused = now - origin.active > UInt64(Self.pauseMilliseconds) * 1_000_000
        let isTrickle = hadPaused && gate.buffered == 0
        if gate.buffered == 0 { consumer.isOffered(having: delivered, at: now) }
        if gathered == 0 { gatheredSince = now }
        pay(for: bytes, at: now)
        received += bytes
        arrivedSinceWrite += bytes
        let hasClosed = gate.arrived(bytes) == .close
        if hasClosed { origin.gateCloses(at: now) }
        // The first bytes after a pause are written at once, because holding back a slow body gains nothing.
        if isTrickle || hasClosed { return .keep(.now(everything: true)) }
        // If the consumer's pipe was full, only the bytes that came since then count.
        let isEnough = (isBlocked ? arrivedSinceWrite : gathered) >= worthWriting
        // Where body or pipes are small, waking the other thread costs more than it gains.
        let isWorthWaking = received - position >= Self.largeBody && stagingCapacity >= Self.gatherSize
        if isEnough, !isWorthWaking { return .keep(.now(everything: false)) }
        let handsOver = isEnough && !isHandedOver
        if handsOver { isHandedOver = true }
        return .keep(.later(handsOver: handsOver, startsTicking: startsTicking()))
    }

    /// Bytes have come that are not for the consumer.
    public mutating func skips(_ bytes: Int, at now: UInt64) {
        skipped += bytes
        pay(for: bytes, at: now)
    }

    private mutating func pay(for bytes: Int, at now: UInt64) {
        origin.sent(at: now)
        bucket.take(bytes, at: now)
    }

    /// The origin has sent its last byte, with or without an error.
    public mutating func originEnds() {
        if case .flowing = phase { phase = .draining }
    }

    /// Whether the ticks must begin now: bytes wait, and there are no ticks and no watch for them. If so, they have
    /// begun after this call.
    public mutating func startsTicking() -> Bool {
        guard gate.buffered > 0, case .none = attention, !hasEnded else { return false }
        attention = .ticking(blocked: 0)
        return true
    }

    // MARK: The session's waits

    /// Whether the session's thread must wait for room. If so, it waits after this call.
    public mutating func awaitsRoom() -> Bool {
        isAwaited = gate.isClosed && !hasEnded
        return isAwaited
    }

    /// The session's thread has ended its wait, and checks for room itself.
    public mutating func hasWaited() { isAwaited = false }

    /// How long the session's thread must wait because of the rate, in ns; 0 if it need not wait. If so, it waits after
    /// this call.
    public mutating func pauses(at now: UInt64) -> UInt64 {
        let wait = hasEnded ? 0 : bucket.wait(at: now)
        if wait > 0 { origin.pauses(at: now) } else { origin.goesOn(at: now) }
        return wait
    }

    /// Sets the rate from now on, in bytes a second; nil for any.
    public mutating func setRate(_ bytesPerSecond: Int?, at now: UInt64) {
        bucket.setRate(bytesPerSecond, at: now)
    }

    // MARK: To the consumer

    /// The next system call of a thread that writes.
    public enum Step: Sendable, Equatable {
        /// Write at most this many gathered bytes into the staging pipe, which is empty.
        case fill(atMost: Int)
        /// Pass at most this many bytes of the staging pipe on.
        case passOn(Int)
        /// None.
        case none
    }

    /// The loop's thread begins what `arrives` has handed over.
    ///
    /// - Returns: whether it writes. While the gate is closed the session's thread does, because it waits for room.
    public mutating func takesOver() -> Bool {
        isHandedOver = false
        return !gate.isClosed
    }

    /// A thread begins to write.
    public mutating func beginsToWrite() {
        isBlocked = false
        arrivedSinceWrite = 0
    }

    /// What the thread that writes does next.
    ///
    /// - Parameter everything: false to leave bytes that do not make a full write.
    public func nextStep(everything: Bool) -> Step {
        guard !hasEnded else { return .none }
        if staged > 0 { return .passOn(staged) }
        return gathered >= (everything ? 1 : worthWriting) ? .fill(atMost: stagingCapacity) : .none
    }

    /// Gathered bytes have gone into the staging pipe.
    public mutating func fills(_ bytes: Int, at now: UInt64) {
        gatheredSince = now
        filled += bytes
        staged = bytes
    }

    /// The consumer's pipe is full.
    public mutating func isFull() { isBlocked = true }

    /// Bytes have been passed on.
    ///
    /// - Returns: whether the gate opens.
    public mutating func passesOn(_ bytes: Int, _ events: inout [PumpEvent], at now: UInt64) -> Bool {
        staged -= bytes
        consumer.took(having: delivered, at: now)
        let opens = gate.drained(bytes) == .open && origin.gateOpens(at: now)
        if consumer.noticesRelease(gateState, at: now) { events.append(.released) }
        if isStalled {
            attention = .ticking(blocked: 0)
            events.append(.flowing)
        }
        if consumer.noticesSpeed(having: delivered, at: now) { events.append(.keepsUp) }
        return opens
    }

    /// Whether a wait of the session's thread, which may have begun, has become pointless.
    public var endsWait: Bool { isAwaited || (hasEnded && origin.isPaused) }

    /// The daemon has changed the staging pipe, so fills may have another size.
    public mutating func stagingHas(capacity: Int) { stagingCapacity = capacity }

    // MARK: The loop's looks

    /// A tick begins.
    ///
    /// - Returns: whether bytes have come since the last one, and whether the gathered ones must be written now.
    public mutating func tickBegins(at now: UInt64) -> (hasArrived: Bool, isDue: Bool) {
        let hasArrived = received != receivedAtLastTick
        receivedAtLastTick = received
        let isOld = now - gatheredSince > Self.longestGather
        return (hasArrived, !hasArrived || isOld || isDraining)
    }

    /// A tick ends.
    ///
    /// - Parameters:
    ///   - hasArrived: the answer of `tickBegins`.
    ///   - events: gets what is to be reported.
    ///   - now: the present moment, in ns.
    public mutating func tickEnds(hasArrived: Bool, _ events: inout [PumpEvent], at now: UInt64) -> PumpTick {
        let next = nextLook(hasArrived: hasArrived, &events, at: now)
        // While bytes come, the session's thread writes. Once a stall is reported there are no ticks, so only the watch
        // can notice that there is room.
        return PumpTick(next: next, wantsRoom: needsWatch && (!hasArrived || isStalled))
    }

    private mutating func nextLook(
        hasArrived: Bool, _ events: inout [PumpEvent], at now: UInt64
    ) -> PumpTick.Next {
        guard !hasEnded, hasArrived || gate.buffered > 0 else {
            if isTicking { attention = .none }
            return .never
        }
        guard isBlocked else {
            if isTicking { attention = .ticking(blocked: 0) }
            return .after(milliseconds: Self.pauseMilliseconds)
        }
        if consumer.noticesHold(gateState, at: now) { events.append(.held) }
        let holdAfter = consumer.millisecondsToHold(gateState, from: now)
        let stallsAt = consumer.active + stalledAfter
        if now >= stallsAt {
            attention = .stalled
            return .stalled(holdAfter: holdAfter)
        }
        // Only the consumer can empty a full pipe, so the lane looks less and less often, but not later than needed.
        var looks = 1
        if case .ticking(let blocked) = attention {
            looks = blocked + 1
            attention = .ticking(blocked: looks)
        }
        let untilStalled = Int((stallsAt - now) / 1_000_000) + 1
        return .after(milliseconds: min(untilStalled, holdAfter ?? .max, 1 << min(looks, 7)))
    }

    /// Checks, while a stall is reported, whether the consumer has held the transfer up for too long.
    ///
    /// - Returns: the time until the next check, in ms; nil if none is needed before the next stall.
    public mutating func checkHold(_ events: inout [PumpEvent], at now: UInt64) -> Int? {
        // While there are ticks, they do this check.
        guard !hasEnded, isStalled else { return nil }
        if consumer.noticesHold(gateState, at: now) { events.append(.held) }
        return consumer.millisecondsToHold(gateState, from: now)
    }

    // MARK: The end

    /// The end: nothing is written after this.
    ///
    /// - Returns: whether the gate opens, so that the session's thread may go on to drop what comes.
    public mutating func ends(at now: UInt64) -> Bool {
        phase = .ended
        return origin.gateOpens(at: now)
    }

    /// Whether the origin has sent its last byte and all have been passed on.
    public var isDrained: Bool { isDraining && gate.buffered == 0 }
}
