internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import Unix

/// Limits on bytes per second for users, hosts and the service as a whole. Gives each job under such a limit its share,
/// and counts what the job receives.
///
/// The lanes keep to their shares themselves (`TokenBucket`), so no body byte passes through this class. From time to
/// time, and whenever a job begins or ends, the shares are computed anew (`RatePlan`): jobs get what others do not use,
/// and earlier excess or deficit is evened out (`RateBudget`). If nothing is limited, this costs nothing; while no job
/// receives anything, it costs very little.
///
/// Belongs to the loop's thread.
final class Rates {
    /// What a limit is for.
    enum Scope: Hashable {
        case service
        case user(UInt32)
        case host(String)
    }

    /// A job that has a lane and is under a limit.
    private final class Member {
        let job: JobRecord
        var scopes: [Scope]
        /// The share that the lane was told, in bytes per second.
        var share: Int
        /// What the job had received when it was last counted, in bytes.
        var received: Int
        /// What the job has received since its demand was last computed, in bytes.
        var bytes = 0
        /// The rate that the job is expected to use, in bytes per second; nil if it takes all that it can get.
        var demand: Double?
        /// When the job was last counted (`Monotonic`).
        var countedAt = Monotonic.nanoseconds()
        /// The demand has not been computed since the job began.
        var isNew = true
        /// The lane could not take the share.
        var isUntold = false

        init(_ job: JobRecord, _ scopes: [Scope], share: Int) {
            self.job = job
            self.scopes = scopes
            self.share = share
            received = job.progress.numbers.received
        }
    }

    /// The interval at which the demands of jobs are computed.
    private static let interval = Duration.milliseconds(500)
    /// While no job receives anything, the interval doubles each time, up to this.
    private static let longestInterval = Duration.seconds(8)
    /// Jobs that begin or end within this time share one computation.
    private static let gatheringTime = Duration.milliseconds(20)
    /// A job that uses at least this part of its share is assumed to want more.
    private static let fullUse = 0.9
    /// The factor by which the demand of any other job exceeds its use, so that its use can grow.
    private static let headroom = 1.25
    /// The demand of a job that uses nothing, in bytes per second.
    private static let leastDemand = 16.0 * 1024
    /// The service and the host are charged at most for a job's share times this factor, plus `burst` bytes.
    private static let mostOfShare = 2.0
    private static let burst = 1 << 20
    /// Smaller changes of a share than this are not sent to the lane.
    private static let worthTelling = 0.01
    /// A refusal may rest on a stock that is at most this old, in nanoseconds.
    private static let freshness: UInt64 = 20_000_000
    /// The number of budgets beyond which those that are balanced and have no jobs are dropped.
    private static let budgetsToKeep = 256

    /// Called when jobs that `mayBegin` refused may be able to begin.
    var onRoom: (() -> Void)?
    /// Called with each host at which jobs that `isOpen` refused may be able to begin.
    var onRoomAtHost: ((String) -> Void)?

    private let loop: EventLoop
    private let users: UserPolicy
    private var settings: Settings
    private var members: [ObjectIdentifier: Member] = [:]
    private var budgets: [Scope: RateBudget] = [:]
    private var counts: [Scope: Int] = [:]
    private var lastLook: UInt64 = 0
    private var lastStock: UInt64 = 0
    private var pace = Rates.interval
    private var lookTimer: Timer?
    private var planTimer: Timer?
    /// The timer for the moment at which the first refused scope can admit a job.
    private var room: (timer: Timer, due: ContinuousClock.Instant)?
    /// The scopes that have refused a job since that timer last fired.
    private var refused: Set<Scope> = []

    init(loop: EventLoop, users: UserPolicy, settings: Settings) {
        self.loop = loop
        self.users = users
        self.settings = settings
    }

    // MARK: Admission

    /// Whether a job may begin just now under the limits of its user and of the service; if not, `onRoom` follows.
    func mayBegin(_ userID: UInt32) -> Bool {
        // Ask both, so that a refusal of either is recorded.
        let (service, user) = (admits(.service), admits(.user(userID)))
        return service && user
    }

    /// Whether a job may begin at a host just now; if not, `onRoomAtHost` follows.
    func isOpen(_ host: String) -> Bool { admits(.host(host)) }

    private func admits(_ scope: Scope) -> Bool {
        guard let rate = rate(of: scope), budgets[scope] != nil else { return true }
        budgets[scope]?.rate = rate
        func admits() -> Bool { budgets[scope]?.admits(beside: counts[scope] ?? 0) ?? true }
        if admits() { return true }
        // The refusal rests on an old stock. Since then time has passed and bytes have come.
        if Monotonic.nanoseconds() - lastStock > Self.freshness {
            takeStock()
            if admits() { return true }
        }
        refused.insert(scope)
        awaitRoom()
        return false
    }

    private func awaitRoom() {
        // A scope that refuses because of the number of its jobs needs no timer: the end of one of them is noticed.
        let times = refused.compactMap { budgets[$0]?.secondsToAdmission }.filter { $0 > 0 }
        guard let seconds = times.min() else { return }
        let due = ContinuousClock.now + .seconds(seconds)
        if let room {
            guard due < room.due else { return }
            room.timer.cancel()
        }
        let timer = loop.after(.seconds(seconds)) { [weak self] in
            guard let self else { return }
            room = nil
            let asked = refused
            refused = []
            for case .host(let host) in asked { onRoomAtHost?(host) }
            onRoom?()
        }
        room = (timer, due)
    }

    // MARK: Jobs with lanes

    /// A job is given to a lane.
    ///
    /// - Returns: the job's share at its start, in bytes per second; nil if it has no limit.
    func begins(_ job: JobRecord) -> Int? {
        let scopes = scopes(of: job)
        guard !scopes.isEmpty else { return nil }
        var share = Double(TokenBucket.greatestRate)
        for scope in scopes {
            counts[scope, default: 0] += 1
            share = min(share, capacity(of: scope) / Double(counts[scope] ?? 1))
        }
        let member = Member(job, scopes, share: Int(share))
        members[ObjectIdentifier(job)] = member
        if pace > Self.interval {
            pace = Self.interval
            lookTimer?.cancel()
            lookTimer = nil
        }
        planSoon()
        lookLater()
        return member.share
    }

    /// A job has no lane any more. Its account must still hold what it has received.
    func ends(_ job: JobRecord) {
        guard let member = members.removeValue(forKey: ObjectIdentifier(job)) else { return }
        count(member)
        for scope in member.scopes { leave(scope) }
        planSoon()
    }

    /// Applies changed settings, also to jobs that run.
    func apply(_ settings: Settings, running: some Sequence<JobRecord>) {
        // Count what was used before at the old rates.
        takeStock()
        self.settings = settings
        for job in running {
            let scopes = scopes(of: job)
            if let member = members[ObjectIdentifier(job)] {
                guard member.scopes != scopes else { continue }
                for scope in scopes { counts[scope, default: 0] += 1 }
                for scope in member.scopes { leave(scope) }
                member.scopes = scopes
                if scopes.isEmpty {
                    members[ObjectIdentifier(job)] = nil
                    // No later message would end the limit, so a lane that cannot take this one is replaced.
                    job.assignment.lane?.send(.rate(serial: job.assignment.serial, bytesPerSecond: nil))
                }
            } else if let share = begins(job), !tell(share, job) {
                members[ObjectIdentifier(job)]?.isUntold = true
            }
        }
        for scope in Array(budgets.keys) {
            if let rate = rate(of: scope) { budgets[scope]?.rate = rate } else { budgets[scope] = nil }
        }
        planSoon()
    }

    private func scopes(of job: JobRecord) -> [Scope] {
        [.service, .user(job.owner.userID), .host(Settings.Origins.normal(job.origin.host))]
            .filter { rate(of: $0) != nil }
    }

    private func rate(of scope: Scope) -> Int? {
        switch scope {
        case .service: return settings.limits.rate
        case .user(let userID): return users.share(for: userID).rate
        case .host(let host):
            let rate = settings.origins.limits(for: host).rate
            return rate == 0 ? nil : rate
        }
    }

    private func capacity(of scope: Scope) -> Double {
        guard let rate = rate(of: scope) else { return Double(TokenBucket.greatestRate) }
        if budgets[scope] == nil { budgets[scope] = RateBudget(rate: rate, at: Monotonic.nanoseconds()) }
        budgets[scope]?.rate = rate
        return budgets[scope]?.capacity ?? Double(rate)
    }

    private func leave(_ scope: Scope) {
        let left = (counts[scope] ?? 1) - 1
        counts[scope] = left > 0 ? left : nil
        guard budgets.count > Self.budgetsToKeep else { return }
        takeStock()
        budgets = budgets.filter { counts[$0.key] != nil || !$0.value.isBalanced }
    }

    // MARK: Shares

    /// Counts what a job has received since it was last counted.
    private func count(_ member: Member) {
        let received = member.job.progress.numbers.received
        let bytes = max(0, received - member.received)
        member.received = received
        member.bytes += bytes
        let now = Monotonic.nanoseconds()
        // The ledger is only the lane's claim. What a lane claims far beyond its share is charged to its user alone.
        let given = Double(member.share) * Nanoseconds.seconds(from: member.countedAt, to: now)
        let charged = min(bytes, Int(min(given * Self.mostOfShare, 1e15)) + Self.burst)
        member.countedAt = now
        for scope in member.scopes {
            if case .user = scope {
                budgets[scope]?.spend(bytes)
            } else {
                budgets[scope]?.spend(charged)
            }
        }
    }

    /// Counts what all jobs have received, then advances the budgets to the present.
    private func takeStock() {
        lastStock = Monotonic.nanoseconds()
        for member in members.values { count(member) }
        for scope in Array(budgets.keys) { budgets[scope]?.advance(to: lastStock) }
    }

    private func lookLater() {
        guard lookTimer == nil, !members.isEmpty else { return }
        if lastLook == 0 { lastLook = Monotonic.nanoseconds() }
        lookTimer = loop.after(pace) { [weak self] in
            guard let self else { return }
            lookTimer = nil
            look()
        }
    }

    private func look() {
        takeStock()
        let seconds = Nanoseconds.seconds(from: lastLook, to: lastStock)
        lastLook = members.isEmpty ? 0 : lastStock
        guard seconds > 0, !members.isEmpty else { return }
        var hasMoved = false
        for member in members.values {
            let speed = Double(member.bytes) / seconds
            if member.bytes > 0 { hasMoved = true }
            member.bytes = 0
            // A continued job may receive bytes once more that it drops. They use the rate, but do not count as
            // received.
            let mayBeSkipping =
                member.job.progress.position > 0 && member.received <= member.job.progress.position
            // A new job has had less time than `seconds`.
            member.demand =
                member.isNew || mayBeSkipping || speed >= Double(member.share) * Self.fullUse
                ? nil : max(speed * Self.headroom, Self.leastDemand)
            member.isNew = false
        }
        pace = hasMoved ? Self.interval : min(pace * 2, Self.longestInterval)
        plan()
        lookLater()
    }

    private func planSoon() {
        guard planTimer == nil, !members.isEmpty else { return }
        // Wait longer with more members, because the computation costs more.
        planTimer = loop.after(Self.gatheringTime + .microseconds(200) * members.count) { [weak self] in
            guard let self else { return }
            planTimer = nil
            takeStock()
            plan()
        }
    }

    private func plan() {
        let members = Array(members.values)
        var numbers: [Scope: Int] = [:]
        var limits: [Double] = []
        var perUser: [UInt32: Int] = [:]
        for member in members {
            perUser[member.job.owner.userID, default: 0] += 1
            for scope in member.scopes where numbers[scope] == nil {
                numbers[scope] = limits.count
                limits.append(capacity(of: scope))
            }
        }
        let transfers = members.map { member in
            let user = member.job.owner.userID
            // A user's jobs together have the user's weight.
            let weight = Double(users.share(for: user).weight) / Double(perUser[user] ?? 1)
            return RatePlan.Transfer(
                weight: weight, demand: member.demand, limits: member.scopes.compactMap { numbers[$0] })
        }
        for (member, share) in zip(members, RatePlan.shares(of: transfers, limits: limits)) {
            give(min(share, Double(TokenBucket.greatestRate)), to: member)
        }
    }

    private func give(_ share: Double, to member: Member) {
        let share = max(Int(share), TokenBucket.leastRate)
        let isWorthTelling = abs(share - member.share) > Int(Double(member.share) * Self.worthTelling)
        guard isWorthTelling || member.isUntold else { return }
        // A lane that is too far behind to take the message is told the next time.
        member.isUntold = !tell(share, member.job)
        if !member.isUntold { member.share = share }
    }

    private func tell(_ share: Int, _ job: JobRecord) -> Bool {
        job.assignment.lane?.canSend(.rate(serial: job.assignment.serial, bytesPerSecond: share)) ?? false
    }
}
