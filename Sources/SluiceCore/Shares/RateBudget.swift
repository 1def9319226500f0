/// What several transfers together have used of a rate, whoever of them it was, and what follows for the next moments.
///
/// Lanes keep to the rates that they are given, each for itself. What they cannot know is counted here: a new job's first
/// bytes, jobs so small that they are over before anything is slowed down. What was too much is taken off afterwards, and
/// so the average is exact.
///
/// A value without I/O: times are in ns of any clock that goes on.
public struct RateBudget: Sendable, Equatable {
    /// What was not used is made up for, so much of it, in seconds.
    private static let credit = 0.25
    /// What is owed beyond this, in seconds, lets no further job begin.
    private static let debt = 0.25
    /// How fast what is owed, or was not used, is evened out, in seconds.
    private static let settling = 1.0
    /// What transfers that run get in any case, as a part of the rate: one without anything would look as if it hung.
    private static let least = 0.25
    /// The least that a job begins with, in bytes a second; the first of all may have less.
    private static let leastShare = Double(TokenBucket.leastRate)

    /// More is not owed, in seconds: what cannot be paid back in that time is forgiven.
    private static let mostDebt = 10.0

    /// In bytes a second. With another rate what is owed, or was not used, is so in proportion.
    public var rate: Int {
        didSet { if rate != oldValue { balance *= Double(rate) / Double(max(1, oldValue)) } }
    }
    /// In bytes; below 0 where more was used than the rate allows.
    private var balance = 0.0
    private var since: UInt64

    /// A budget of which nothing was used.
    public init(rate: Int, at now: UInt64) {
        self.rate = rate
        since = now
    }

    /// So many bytes have come. To be told of all of them before `advance`.
    public mutating func spend(_ bytes: Int) {
        balance = max(balance - Double(bytes), -Double(rate) * Self.mostDebt)
    }

    /// Adds what the time has brought since it was last called, or since the beginning.
    public mutating func advance(to now: UInt64) {
        guard now > since else { return }
        let brought = Double(now - since) / 1e9 * Double(rate)
        balance = min(balance + brought, Double(rate) * Self.credit)
        since = now
    }

    /// What all transfers together may have from now on, in bytes a second.
    public var capacity: Double {
        let rate = Double(rate)
        return min(max(rate + balance / Self.settling, rate * Self.least), rate * (1 + Self.credit))
    }

    /// Whether one more transfer may begin beside so many that run.
    public func admits(beside running: Int) -> Bool {
        balance >= -Double(rate) * Self.debt
            && (running == 0 || Double(rate) / Double(running + 1) >= Self.leastShare)
    }

    /// After how long `admits` will not say no because of what was used, in seconds, if nothing more is.
    public var secondsToAdmission: Double {
        max(0, -Self.debt - balance / Double(rate))
    }

    /// Whether nothing is to be remembered of it.
    public var isBalanced: Bool { balance >= 0 }
}
