/// What several transfers together have used of a rate, and what they may use next.
///
/// Each lane keeps to the rate that it was given. This budget counts the bytes that lanes cannot foresee: a new job's
/// first bytes, and jobs so small that they end before they are slowed down. An excess is subtracted from the following
/// capacity, so the average is exact.
///
/// A value without I/O: times are in ns of any monotonic clock.
public struct RateBudget: Sendable, Equatable {
    /// The largest credit for unused capacity, in seconds of the rate.
    private static let credit = 0.25
    /// The debt, in seconds of the rate, beyond which no further job may begin.
    private static let debt = 0.25
    /// The time over which a debt or a credit is evened out, in seconds.
    private static let settling = 1.0
    /// The part of the rate that running transfers always get: a transfer that gets nothing would look as if it hung.
    private static let least = 0.25
    /// The least rate at which a job may begin, in bytes a second. The only job may have less.
    private static let leastShare = Double(TokenBucket.leastRate)

    /// The largest debt, in seconds of the rate. A debt beyond it is forgiven.
    private static let mostDebt = 10.0

    /// The rate in bytes a second. When it changes, debt and credit change in proportion.
    public var rate: Int {
        didSet { if rate != oldValue { balance *= Double(rate) / Double(max(1, oldValue)) } }
    }
    /// The credit in bytes; below 0 if more was used than the rate allows.
    private var balance = 0.0
    private var since: UInt64

    /// A budget with nothing used.
    public init(rate: Int, at now: UInt64) {
        self.rate = rate
        since = now
    }

    /// Bytes have come. The caller must report all of them before it calls `advance`.
    public mutating func spend(_ bytes: Int) {
        balance = max(balance - Double(bytes), -Double(rate) * Self.mostDebt)
    }

    /// Adds what the rate allows for the time since the last call, or since the beginning.
    public mutating func advance(to now: UInt64) {
        guard now > since else { return }
        let brought = Nanoseconds.seconds(from: since, to: now) * Double(rate)
        balance = min(balance + brought, Double(rate) * Self.credit)
        since = now
    }

    /// The rate for all transfers together from now on, in bytes a second.
    public var capacity: Double {
        let rate = Double(rate)
        return min(max(rate + balance / Self.settling, rate * Self.least), rate * (1 + Self.credit))
    }

    /// Whether one more transfer may begin beside `running` others.
    public func admits(beside running: Int) -> Bool {
        balance >= -Double(rate) * Self.debt
            && (running == 0 || Double(rate) / Double(running + 1) >= Self.leastShare)
    }

    /// The time until the debt no longer makes `admits` false, in seconds, if nothing more is used.
    public var secondsToAdmission: Double {
        max(0, -Self.debt - balance / Double(rate))
    }

    /// Whether there is no debt, so that the budget may be forgotten.
    public var isBalanced: Bool { balance >= 0 }
}
