/// Whether a consumer takes what is offered to it: not at all for a moment (a stall), hardly anything for long (a hold), or
/// so fast that larger pipes would serve it.
///
/// A value without I/O: times are in ns of any clock that goes on, and bytes are counted from the body's beginning.
public struct ConsumerWatch: Sendable {
    /// How the consumer's gate stands at a moment.
    public struct Gate: Sendable {
        /// Bytes wait behind it.
        public var holdsBytes: Bool
        /// Since when it is closed; nil while it is open.
        public var closedSince: UInt64?

        /// A gate.
        public init(holdsBytes: Bool, closedSince: UInt64?) {
            self.holdsBytes = holdsBytes
            self.closedSince = closedSince
        }
    }

    /// What a consumer has to take to count as one that reads, in bytes: what an ordinary pipe holds. A page now and then is
    /// not reading: it could hold a lane for days.
    private static let progress = 64 << 10
    /// A consumer is fast that takes so many bytes in so much time (ns), whether or not the origin is faster.
    private static let fastBytes = 512 << 10
    private static let fastTime: UInt64 = 100_000_000

    private let holdAfter: UInt64
    /// When it last took something, or was last offered something after it had had all.
    public private(set) var active: UInt64
    /// When it last had taken enough to count as reading, or was last offered something; and how much it had then.
    private var progressSince: UInt64
    private var progressMark: Int
    /// Since when its speed is measured, and how much it had then.
    private var speedSince: UInt64
    private var speedMark: Int
    /// It has been found fast.
    public private(set) var isFast = false
    /// A hold has been noticed, and no release since.
    private var isHeld = false

    /// A watch that begins now.
    ///
    /// - Parameters:
    ///   - delivered: bytes that the consumer has.
    ///   - holdAfter: how long it may hold the transfer up before that is news, in seconds.
    public init(delivered: Int, holdAfter: Double, at now: UInt64) {
        self.holdAfter = UInt64(holdAfter * 1e9)
        active = now
        progressSince = now
        progressMark = delivered
        speedSince = now
        speedMark = delivered
    }

    /// Bytes are offered to a consumer for whom none have waited.
    public mutating func isOffered(having delivered: Int, at now: UInt64) {
        active = now
        progressSince = now
        progressMark = delivered
    }

    /// The consumer has taken something, and has so much now.
    public mutating func took(having delivered: Int, at now: UInt64) {
        active = now
        guard delivered - progressMark >= Self.progress else { return }
        progressSince = now
        progressMark = delivered
    }

    /// Whether it is news that the consumer is fast.
    public mutating func noticesSpeed(having delivered: Int, at now: UInt64) -> Bool {
        guard !isFast, delivered - speedMark >= Self.fastBytes else { return false }
        isFast = now - speedSince <= Self.fastTime
        speedSince = now
        speedMark = delivered
        return isFast
    }

    /// Whether it is news that the consumer has held the transfer up for too long.
    public mutating func noticesHold(_ gate: Gate, at now: UInt64) -> Bool {
        guard !isHeld, holds(gate, at: now) else { return false }
        isHeld = true
        return true
    }

    /// Whether it is news that it no longer does.
    public mutating func noticesRelease(_ gate: Gate, at now: UInt64) -> Bool {
        guard isHeld, !holds(gate, at: now) else { return false }
        isHeld = false
        return true
    }

    /// When to look for a hold, in ms from now; nil where there is no reason to.
    public func millisecondsToHold(_ gate: Gate, from now: UInt64) -> Int? {
        guard !isHeld, let since = heldSince(gate) else { return nil }
        let due = since + holdAfter
        return due > now ? Int((due - now) / 1_000_000) + 1 : 0
    }

    /// Since when the consumer holds the transfer up: the gate is closed, or bytes wait and hardly any are taken.
    private func heldSince(_ gate: Gate) -> UInt64? {
        guard gate.holdsBytes else { return nil }
        return gate.closedSince.map { min($0, progressSince) } ?? progressSince
    }

    private func holds(_ gate: Gate, at now: UInt64) -> Bool {
        heldSince(gate).map { now >= $0 + holdAfter } ?? false
    }
}
