/// Measures how long an origin could send, and how long it could not, because the gate was closed or the rate limit
/// made the session wait (`TokenBucket`). Only the time in which the origin could send counts against it.
///
/// A value without I/O: times are in ns of any monotonic clock.
public struct OriginTurn: Sendable {
    /// An origin that must wait this long may give up, in ns.
    private static let longWait: UInt64 = 5_000_000_000
    /// If the origin gave up, that shows within this time behind an open gate, in ns. The bytes that the kernel holds
    /// arrive first.
    private static let waitShowsWithin: UInt64 = 5_000_000_000

    /// A period in which the gate was closed and the origin had to wait.
    private struct Wait {
        var length: UInt64
        /// When the gate opened.
        var end: UInt64
        /// How long the gate had been closed in total until then.
        var closedAtItsEnd: UInt64
    }

    private let beganAt: UInt64
    /// How long the gate was closed in earlier attempts.
    private let closedBefore: UInt64
    /// How long the gate has been closed in total, including earlier attempts, without the present closure.
    public private(set) var closedTime: UInt64
    /// When the gate closed; nil while it is open.
    public private(set) var closedSince: UInt64?
    /// When the session began to wait because of the rate; nil while it does not wait.
    private var pausedSince: UInt64?
    private var pausedTime: UInt64 = 0
    /// When the origin last sent something, or became able to send again.
    public private(set) var active: UInt64
    private var lastLongWait: Wait?

    /// The attempt begins.
    ///
    /// - Parameters:
    ///   - closedBefore: how long the gate was closed in earlier attempts. It is bounded here, because another process
    ///     wrote it.
    ///   - now: the present moment, in ns.
    public init(closedBefore: UInt64, at now: UInt64) {
        self.closedBefore = min(closedBefore, 1 << 62)
        closedTime = self.closedBefore
        beganAt = now
        active = now
    }

    /// Whether the session waits because of the rate.
    public var isPaused: Bool { pausedSince != nil }
    /// Whether the origin cannot send now.
    public var isHeldBack: Bool { closedSince != nil || isPaused }

    /// Bytes have come from the origin.
    public mutating func sent(at now: UInt64) {
        active = now
    }

    /// The gate has closed.
    public mutating func gateCloses(at now: UInt64) {
        closedSince = closedSince ?? now
    }

    /// The gate is open.
    ///
    /// - Returns: whether it was closed before.
    public mutating func gateOpens(at now: UInt64) -> Bool {
        guard let since = closedSince else { return false }
        let length = now - since
        closedTime += length
        closedSince = nil
        active = now
        if length >= Self.longWait {
            lastLongWait = Wait(length: length, end: now, closedAtItsEnd: closedTime)
        }
        return true
    }

    /// The session waits because of the rate.
    public mutating func pauses(at now: UInt64) {
        pausedSince = pausedSince ?? now
    }

    /// The session no longer waits.
    public mutating func goesOn(at now: UInt64) {
        guard let since = pausedSince else { return }
        pausedTime += now - since
        pausedSince = nil
        active = now
    }

    /// How long the origin could send in this attempt, in ns.
    public func openTime(at now: UInt64) -> UInt64 {
        let closed = closedTime - closedBefore + (closedSince.map { now - $0 } ?? 0)
        let paused = pausedTime + (pausedSince.map { now - $0 } ?? 0)
        return now - beganAt - closed - paused
    }

    /// How long the origin has been silent although it could send, in ns; nil while it cannot send.
    public func silence(at now: UInt64) -> UInt64? {
        isHeldBack ? nil : now - active
    }

    /// The length of the last long time that the origin had to wait, if that ended recently; nil otherwise.
    public func recentWait(at now: UInt64) -> Duration? {
        guard let wait = lastLongWait else { return nil }
        // Time behind a closed gate does not count: the loss of the origin could not show then.
        let closedSinceThen = closedTime - wait.closedAtItsEnd
        guard now - wait.end - closedSinceThen <= Self.waitShowsWithin else { return nil }
        return .nanoseconds(Int64(clamping: wait.length))
    }
}
