/// How long an origin could have sent something, and for how long it could not: the gate was closed, or what had come was
/// not paid for yet (`TokenBucket`). What is held against an origin is the time of its own alone.
///
/// A value without I/O: times are in ns of any clock that goes on.
public struct OriginTurn: Sendable {
    /// An origin that has to wait so long may give up, in ns.
    private static let longHold: UInt64 = 5_000_000_000
    /// If it did, that shows within so much time behind an open gate, in ns: what the kernel holds comes first.
    private static let holdShowsWithin: UInt64 = 5_000_000_000

    /// A time for which the gate was closed and the origin had to wait.
    private struct Hold {
        var length: UInt64
        /// When the gate opened.
        var end: UInt64
        /// How long the gate had been closed until then, altogether.
        var closedAtItsEnd: UInt64
    }

    private let beganAt: UInt64
    /// How long the gate was closed in earlier attempts.
    private let closedBefore: UInt64
    /// How long the gate has been closed, those attempts included and the present time not.
    public private(set) var closedTime: UInt64
    /// Since when the gate is closed; nil while it is open.
    public private(set) var closedSince: UInt64?
    /// Since when the session waits until what has come is paid for; nil while it does not.
    private var pausedSince: UInt64?
    private var pausedTime: UInt64 = 0
    /// When the origin last sent something, or was last allowed to.
    public private(set) var active: UInt64
    private var lastLongHold: Hold?

    /// The attempt begins.
    ///
    /// - Parameter closedBefore: how long the gate was closed in earlier attempts; what another process wrote is bounded.
    public init(closedBefore: UInt64, at now: UInt64) {
        self.closedBefore = min(closedBefore, 1 << 62)
        closedTime = self.closedBefore
        beganAt = now
        active = now
    }

    /// Whether it waits because of the rate.
    public var isPaused: Bool { pausedSince != nil }
    /// Whether it can send nothing just now.
    public var isHeldBack: Bool { closedSince != nil || isPaused }

    /// Something has come.
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
        if length >= Self.longHold {
            lastLongHold = Hold(length: length, end: now, closedAtItsEnd: closedTime)
        }
        return true
    }

    /// The session waits until what has come is paid for.
    public mutating func pauses(at now: UInt64) {
        pausedSince = pausedSince ?? now
    }

    /// It waits no more.
    public mutating func goesOn(at now: UInt64) {
        guard let since = pausedSince else { return }
        pausedTime += now - since
        pausedSince = nil
        active = now
    }

    /// How long it could have sent something in this attempt, in ns.
    public func openTime(at now: UInt64) -> UInt64 {
        let closed = closedTime - closedBefore + (closedSince.map { now - $0 } ?? 0)
        let paused = pausedTime + (pausedSince.map { now - $0 } ?? 0)
        return now - beganAt - closed - paused
    }

    /// How long it has been silent although it could send, in ns; nil while it cannot.
    public func silence(at now: UInt64) -> UInt64? {
        isHeldBack ? nil : now - active
    }

    /// How long it had to wait before the gate last opened after a long time, if that was just now.
    public func recentHold(at now: UInt64) -> Duration? {
        guard let hold = lastLongHold else { return nil }
        // Time behind a closed gate is none in which it could have shown.
        let closedSinceThen = closedTime - hold.closedAtItsEnd
        guard now - hold.end - closedSinceThen <= Self.holdShowsWithin else { return nil }
        return .nanoseconds(Int64(clamping: hold.length))
    }
}
