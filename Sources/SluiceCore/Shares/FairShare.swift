/// Whose turn it is to get a lane: weighted fair queueing, where what is shared out is time on lanes.
///
/// Each user whose jobs wait has a clock that runs with the lanes that the user holds: twice as fast with twice as many,
/// half as fast with twice the weight. The next lane goes to the user whose clock is furthest behind, so in the long run
/// users have lanes in the proportion of their weights, whether their jobs are short or long. The clocks run only while
/// something waits: what a user had while nobody else wanted anything is held against nobody, and a user who comes stands
/// as well as the one who has waited longest. (Start-time fair queueing, Goyal, Vin and Cheng 1997, with the weights of
/// processes in Linux's scheduler, sched(7).)
///
/// A value without I/O: the time is a parameter, in ns of any clock that goes on.
public struct FairShare: Sendable {
    /// What a lane that is held counts for, in seconds of its holder's clock, so that lanes that become free at one time do
    /// not all go to one user.
    private static let holding = 0.1
    /// What every job counts for, in seconds: some take no time.
    private static let leastTime = 0.0001

    private struct Account {
        var weight: Int
        /// Lanes that the user has.
        var held = 0
        /// The clock, in seconds.
        var time = 0.0
        /// When the clock was last set.
        var since: UInt64
        /// The user has jobs that wait.
        var isWaiting = false
        /// The user has jobs that wait for something else than a lane.
        var isAside = false
        /// When it last was a turn of the user's, its jobs were not to run: the time since then does not count.
        var isBarred = false
        /// When the user last had a turn, among all turns.
        var turn = 0
    }

    private var accounts: [UInt32: Account] = [:]
    private var turns = 0

    /// Nobody waits.
    public init() {}

    /// How many lanes a user has.
    public func held(by user: UInt32) -> Int { accounts[user]?.held ?? 0 }

    /// Nobody waits, and nobody has a lane.
    public var isEmpty: Bool { accounts.isEmpty }

    /// A user has jobs that wait. Said again it changes the weight alone.
    ///
    /// - Parameter weight: 1 or more.
    public mutating func waits(_ user: UInt32, weight: Int, at now: UInt64) {
        var account = accounts[user] ?? Account(weight: weight, since: now)
        settle(&account, at: now)
        account.weight = max(1, weight)
        if !account.isWaiting {
            account.isWaiting = true
            let least = leastTime(at: now, barred: false) ?? leastTime(at: now, barred: true)
            // One that was aside has waited meanwhile: it is not better off than it was, and not worse.
            account.time = account.isAside ? max(account.time, least ?? 0) : least ?? 0
        }
        account.isAside = false
        accounts[user] = account
    }

    /// No job of a user waits any more.
    ///
    /// - Parameter isAside: some wait for something else, and will be back: its clock runs on, and its turn is kept.
    public mutating func stopsWaiting(_ user: UInt32, isAside: Bool = false, at now: UInt64) {
        if isAside, accounts[user] == nil { accounts[user] = Account(weight: 1, since: now) }
        change(user, at: now) { account in
            account.isWaiting = false
            account.isAside = isAside
        }
    }

    /// A user's job has got a lane.
    public mutating func begins(_ user: UInt32, at now: UInt64) {
        turns += 1
        let turn = turns
        if accounts[user] == nil { accounts[user] = Account(weight: 1, since: now) }
        change(user, at: now) { account in
            account.held += 1
            account.time += Self.leastTime / Double(account.weight)
            account.turn = turn
        }
    }

    /// A user's job has let go of its lane.
    public mutating func ends(_ user: UInt32, at now: UInt64) {
        change(user, at: now) { $0.held = max(0, $0.held - 1) }
    }

    /// The user whose turn it is, among those who have jobs that wait.
    ///
    /// - Parameters:
    ///   - passed: users who are left out this time, and keep their places.
    ///   - mayRun: whether a user who has so many lanes may have one more.
    /// - Returns: nil where there is none.
    public mutating func next(
        at now: UInt64, but passed: Set<UInt32> = [], mayRun: (_ user: UInt32, _ held: Int) -> Bool
    ) -> UInt32? {
        var able: [UInt32] = []
        for (user, account) in accounts where account.isWaiting && !passed.contains(user) {
            if mayRun(user, account.held) { able.append(user) } else { accounts[user]?.isBarred = true }
        }
        // Whoever could not have had a lane has nothing to catch up with.
        var least: Double?
        for user in able {
            guard let account = accounts[user], !account.isBarred else { continue }
            least = min(least ?? .infinity, Self.time(of: account, at: now))
        }
        var best: (user: UInt32, place: Double, turn: Int)?
        for user in able {
            guard var account = accounts[user] else { continue }
            if account.isBarred {
                settle(&account, at: now)
                account.time = max(account.time, least ?? account.time)
                account.isBarred = false
                accounts[user] = account
            }
            let holding = Self.holding * Double(account.held) / Double(account.weight)
            let place = Self.time(of: account, at: now) + holding
            if let best, (best.place, best.turn, best.user) <= (place, account.turn, user) { continue }
            best = (user, place, account.turn)
        }
        return best?.user
    }

    private mutating func change(_ user: UInt32, at now: UInt64, _ body: (inout Account) -> Void) {
        guard var account = accounts[user] else { return }
        settle(&account, at: now)
        body(&account)
        accounts[user] = account.held == 0 && !account.isWaiting && !account.isAside ? nil : account
    }

    private func settle(_ account: inout Account, at now: UInt64) {
        account.time = Self.time(of: account, at: now)
        account.since = max(account.since, now)
    }

    private static func time(of account: Account, at now: UInt64) -> Double {
        guard account.isWaiting || account.isAside, now > account.since else { return account.time }
        return account.time + Double(now - account.since) / 1e9 * Double(account.held)
            / Double(account.weight)
    }

    /// Of those who wait, and could run or could not, the clock that is furthest behind.
    private func leastTime(at now: UInt64, barred: Bool) -> Double? {
        accounts.values.lazy.filter { $0.isWaiting && $0.isBarred == barred }
            .map { Self.time(of: $0, at: now) }.min()
    }
}
