/// How long a lane waits for an origin before the head of its response is there.
///
/// There are two limits: one for each connection, one for the answer. The second runs from the first request on.
/// Redirects do not extend it, so a chain of them ends.
public struct OriginPatience: Sendable, Equatable {
    /// What a look at the clock means.
    public enum Look: Sendable, Equatable {
        /// Nothing is due; look again after this time, in nanoseconds.
        case later(UInt64)
        /// No connection was made in time.
        case connectIsOverdue
        /// A connection was made, but no head has come in time.
        case headIsOverdue
    }

    private let connect: UInt64
    private let head: UInt64
    /// When the lane began to connect; nil while there is a connection.
    private var connectingSince: UInt64?
    /// When the first request was sent.
    private var askedAt: UInt64?

    /// Begins to connect.
    ///
    /// - Parameters:
    ///   - connect: the limit for a connection, in seconds.
    ///   - head: the limit from the first request to the head, in seconds.
    ///   - now: in ns.
    public init(connect: Double, head: Double, now: UInt64) {
        self.connect = Nanoseconds.of(seconds: connect)
        self.head = Nanoseconds.of(seconds: head)
        connectingSince = now
    }

    /// A connection is ready, and a request is sent on it.
    public mutating func connected(at now: UInt64) {
        connectingSince = nil
        askedAt = askedAt ?? now
    }

    /// A redirect is followed: it may need another connection.
    public mutating func redirected(at now: UInt64) {
        connectingSince = now
    }

    /// Which limit has passed, or when to look again.
    public func look(at now: UInt64) -> Look {
        var next = UInt64.max
        if let connectingSince {
            let due = connectingSince.addingSaturated(connect)
            guard now < due else { return .connectIsOverdue }
            next = due
        }
        if let askedAt {
            let due = askedAt.addingSaturated(head)
            guard now < due else { return .headIsOverdue }
            next = min(next, due)
        }
        return .later(next - now)
    }
}
