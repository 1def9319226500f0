/// Decides which user gets the next lane: weighted fair queueing of time on lanes.
///
/// Each user whose jobs wait has a clock. Its speed is proportional to the number of lanes that the user has, and
/// inversely proportional to the user's weight. The next lane goes to the user whose clock is furthest behind. In the
/// long run users thus have lanes in proportion to their weights, whether their jobs are short or long. A clock runs
/// only while its user's jobs wait: lanes that a user had while no one else wanted them do not count against the user.
/// The clock of a user who begins to wait is set to the clock that is furthest behind. (Start-time fair queueing,
/// Goyal, Vin and Cheng 1997, with the weights of processes in Linux's scheduler, sched(7).)
///
/// A value without I/O: the time is a parameter, in ns of any monotonic clock.
public struct FairShare: Sendable {
    /// The time that each lane in use adds to its user's clock in a comparison, in seconds, so that lanes that become
    /// free at the same moment do not all go to one user.
    private static let timePerLane = 0.1
    /// The least time that a job counts for, in seconds: some jobs take no time.
    private static let leastTime = 0.0001

    private struct Claim {
        var weight: Int
        /// Lanes that the user has.
        var lanes = 0
        /// The clock, in seconds.
        var time = 0.0
        /// When the clock was last set.
        var since: UInt64
        /// True if the user has jobs that wait for a lane.
        var isWaiting = false
        /// True if the user has jobs that wait for something other than a lane.
        var isAside = false
        /// True if the user's jobs were not allowed to run when a lane was last given out. The time since then does not
        /// count.
        var isBarred = false
        /// The number of the user's last turn, counted over the turns of all users.
        var turn = 0
    }

    private var claims: [UInt32: Claim] = [:]
    private var turns = 0

    /// No user waits.
    public init() {}

    /// Number of lanes that a user holds.
    public func lanes(of user: UInt32) -> Int { claims[user]?.lanes ?? 0 }

    /// True if no user waits or holds a lane.
    public var isEmpty: Bool { claims.isEmpty }

    /// A user has jobs that wait. A repeated call only changes the weight.
    ///
    /// - Parameters:
    ///   - user: the user's number.
    ///   - weight: 1 or more.
    ///   - now: the present moment, in ns.
    public mutating func waits(_ user: UInt32, weight: Int, at now: UInt64) {
        var claim = claims[user] ?? Claim(weight: weight, since: now)
        settle(&claim, at: now)
        claim.weight = max(1, weight)
        if !claim.isWaiting {
            claim.isWaiting = true
            let least = leastTime(at: now, barred: false) ?? leastTime(at: now, barred: true)
            // The clock of a user who was aside has run on. It is kept, so the user gains and loses nothing.
            claim.time = claim.isAside ? max(claim.time, least ?? 0) : least ?? 0
        }
        claim.isAside = false
        claims[user] = claim
    }

    /// No job of a user waits for a lane any more.
    ///
    /// - Parameters:
    ///   - user: the user's number.
    ///   - isAside: some jobs wait for something else and will wait for a lane again. The user's clock runs on, and its
    ///     turn is kept.
    ///   - now: the present moment, in ns.
    public mutating func stopsWaiting(_ user: UInt32, isAside: Bool = false, at now: UInt64) {
        if isAside, claims[user] == nil { claims[user] = Claim(weight: 1, since: now) }
        change(user, at: now) { claim in
            claim.isWaiting = false
            claim.isAside = isAside
        }
    }

    /// A user's job has got a lane.
    public mutating func begins(_ user: UInt32, at now: UInt64) {
        turns += 1
        let turn = turns
        if claims[user] == nil { claims[user] = Claim(weight: 1, since: now) }
        change(user, at: now) { claim in
            claim.lanes += 1
            claim.time += Self.leastTime / Double(claim.weight)
            claim.turn = turn
        }
    }

    /// A user's job has released its lane.
    public mutating func ends(_ user: UInt32, at now: UInt64) {
        change(user, at: now) { $0.lanes = max(0, $0.lanes - 1) }
    }

    /// The user whose turn it is, among those who have jobs that wait.
    ///
    /// - Parameters:
    ///   - now: the present moment, in ns.
    ///   - passed: users who are skipped this time and keep their places.
    ///   - mayRun: whether a user who holds this number of lanes may have one more.
    /// - Returns: nil if no such user may have a lane.
    public mutating func next(
        at now: UInt64, but passed: Set<UInt32> = [], mayRun: (_ user: UInt32, _ held: Int) -> Bool
    ) -> UInt32? {
        var able: [UInt32] = []
        for (user, claim) in claims where claim.isWaiting && !passed.contains(user) {
            if mayRun(user, claim.lanes) { able.append(user) } else { claims[user]?.isBarred = true }
        }
        // A user who was not allowed another lane must not catch up for that time.
        var least: Double?
        for user in able {
            guard let claim = claims[user], !claim.isBarred else { continue }
            least = min(least ?? .infinity, Self.time(of: claim, at: now))
        }
        var best: (user: UInt32, place: Double, turn: Int)?
        for user in able {
            guard var claim = claims[user] else { continue }
            if claim.isBarred {
                settle(&claim, at: now)
                claim.time = max(claim.time, least ?? claim.time)
                claim.isBarred = false
                claims[user] = claim
            }
            let penalty = Self.timePerLane * Double(claim.lanes) / Double(claim.weight)
            let place = Self.time(of: claim, at: now) + penalty
            if let best, (best.place, best.turn, best.user) <= (place, claim.turn, user) { continue }
            best = (user, place, claim.turn)
        }
        return best?.user
    }

    private mutating func change(_ user: UInt32, at now: UInt64, _ body: (inout Claim) -> Void) {
        guard var claim = claims[user] else { return }
        settle(&claim, at: now)
        body(&claim)
        claims[user] = claim.lanes == 0 && !claim.isWaiting && !claim.isAside ? nil : claim
    }

    private func settle(_ claim: inout Claim, at now: UInt64) {
        claim.time = Self.time(of: claim, at: now)
        claim.since = max(claim.since, now)
    }

    private static func time(of claim: Claim, at now: UInt64) -> Double {
        guard claim.isWaiting || claim.isAside, now > claim.since else { return claim.time }
        return claim.time + Nanoseconds.seconds(from: claim.since, to: now) * Double(claim.lanes)
            / Double(claim.weight)
    }

    /// The clock that is furthest behind, among the users who wait and are barred, or are not barred.
    private func leastTime(at now: UInt64, barred: Bool) -> Double? {
        claims.values.lazy.filter { $0.isWaiting && $0.isBarred == barred }
            .map { Self.time(of: $0, at: now) }.min()
    }
}
