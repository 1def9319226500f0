/// Watches how a consumer reads: it takes nothing for a moment (a stall), takes hardly anything for a long time (a
/// hold), or reads so fast that larger pipes would help it.
///
/// A value without I/O: times are in ns of any monotonic clock, and bytes are counted from the body's beginning.
public struct ConsumerWatch: Sendable {
    /// The state of the consumer's gate at a moment.
    public struct Gate: Sendable {
        /// True if bytes wait for the consumer.
        public var holdsBytes: Bool
        /// When the gate closed; nil while it is open.
        public var closedSince: UInt64?

        /// Creates the state of a gate.
        public init(holdsBytes: Bool, closedSince: UInt64?) {
            self.holdsBytes = holdsBytes
            self.closedSince = closedSince
        }
    }

    /// What a consumer must take to count as reading, in bytes: the capacity of an ordinary pipe. A consumer that takes
    /// a page now and then does not count as reading, because it could hold a lane for days.
    private static let progress = 64 << 10
    /// A consumer is fast if it takes `fastBytes` within `fastTime` (ns), whether or not the origin is faster.
    private static let fastBytes = 512 << 10
    private static let fastTime: UInt64 = 100_000_000

    private let holdAfter: UInt64
    /// When the consumer last took something, or was last offered something after it had taken everything.
    public private(set) var active: UInt64
    /// When the consumer last had taken enough to count as reading, or was last offered something, and how many bytes
    /// it had then.
    private var progressSince: UInt64
    private var progressMark: Int
    /// When the measurement of its speed began, and how many bytes it had then.
    private var speedSince: UInt64
    private var speedMark: Int
    /// True once the consumer has been found fast.
    public private(set) var isFast = false
    /// True after a hold was noticed, until its release is noticed.
    private var isHeld = false

    /// A watch that begins now.
    ///
    /// - Parameters:
    ///   - delivered: bytes that the consumer has.
    ///   - holdAfter: how long the consumer may hold the transfer up before that is a hold, in seconds.
    ///   - now: the present moment, in ns.
    public init(delivered: Int, holdAfter: Double, at now: UInt64) {
        self.holdAfter = Nanoseconds.of(seconds: holdAfter)
        active = now
        progressSince = now
        progressMark = delivered
        speedSince = now
        speedMark = delivered
    }

    /// Bytes are offered to a consumer for which none were waiting.
    public mutating func isOffered(having delivered: Int, at now: UInt64) {
        active = now
        progressSince = now
        progressMark = delivered
    }

    /// The consumer has taken something, and has `delivered` bytes now.
    public mutating func took(having delivered: Int, at now: UInt64) {
        active = now
        guard delivered - progressMark >= Self.progress else { return }
        progressSince = now
        progressMark = delivered
    }

    /// Returns true the first time that the consumer is found fast.
    public mutating func noticesSpeed(having delivered: Int, at now: UInt64) -> Bool {
        guard !isFast, delivered - speedMark >= Self.fastBytes else { return false }
        isFast = now - speedSince <= Self.fastTime
        speedSince = now
        speedMark = delivered
        return isFast
    }

    /// Returns true the first time that the consumer has held the transfer up for too long, and again after each
    /// release.
    public mutating func noticesHold(_ gate: Gate, at now: UInt64) -> Bool {
        guard !isHeld, holds(gate, at: now) else { return false }
        isHeld = true
        return true
    }

    /// Returns true the first time after a hold that the consumer no longer holds the transfer up.
    public mutating func noticesRelease(_ gate: Gate, at now: UInt64) -> Bool {
        guard isHeld, !holds(gate, at: now) else { return false }
        isHeld = false
        return true
    }

    /// When to check for a hold, in ms from now; nil if no check is needed.
    public func millisecondsToHold(_ gate: Gate, from now: UInt64) -> Int? {
        guard !isHeld, let since = heldSince(gate) else { return nil }
        let due = since + holdAfter
        return due > now ? Int((due - now) / 1_000_000) + 1 : 0
    }

    /// When the consumer began to hold the transfer up, because the gate closed, or because bytes wait and it takes
    /// hardly any; nil if it does not.
    private func heldSince(_ gate: Gate) -> UInt64? {
        guard gate.holdsBytes else { return nil }
        return gate.closedSince.map { min($0, progressSince) } ?? progressSince
    }

    private func holds(_ gate: Gate, at now: UInt64) -> Bool {
        heldSince(gate).map { now >= $0 + holdAfter } ?? false
    }
}
