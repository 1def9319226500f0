internal import EventLoop
internal import SluiceCore
internal import UnixSockets

/// Which egress rules hold for whose jobs.
///
/// Where the settings speak of users or groups, the directory of users is asked when a user's job comes: on a thread of
/// its own, because it may be a server on the network that does not answer. The job waits for that, up to `patience`, and
/// gets the strictest rules where there is no answer. What was found is good for `freshness`; after that it is looked up
/// again while jobs go on with what was known. Without users and groups in the settings nothing is looked up.
///
/// Belongs to the loop's thread.
final class EgressPolicy {
    /// Looks a user up; on any thread. Nil where the directory does not answer.
    typealias Lookup = @Sendable (_ userID: UInt32, _ groups: [String]) -> UserIdentity?

    /// How long a job waits for the directory.
    static let patience = Duration.seconds(5)
    /// How old an answer may be before it is looked up again.
    private static let freshness = Duration.seconds(60)
    /// Answers that are kept.
    private static let mostUsers = 4096
    /// Users that are looked up at once.
    private static let mostLookups = 4

    private struct Known {
        /// Of the settings under which it was looked up.
        var generation: Int
        var since: ContinuousClock.Instant
        /// The rules, in their compact form.
        var rules: String
    }

    /// Carries answers to the loop's thread.
    private final class Mailbox: Sendable {
        private let loop: EventLoop
        // Only touched on the loop's thread, in `execute`: the policy lives there.
        private nonisolated(unsafe) weak var policy: EgressPolicy?

        init(_ policy: EgressPolicy) {
            loop = policy.loop
            self.policy = policy
        }

        func post(_ work: @escaping @Sendable (EgressPolicy) -> Void) {
            loop.execute { [self] in if let policy { work(policy) } }
        }
    }

    private let loop: EventLoop
    private let log: ServiceLog
    private let lookUp: Lookup
    private var settings: Settings.Egress
    /// Counts the settings that there have been: an answer to a question of earlier ones is none.
    private var generation = 0
    /// For all, where no rule depends on the user.
    private var common = ""
    private var strictest = ""
    private var known: [UInt32: Known] = [:]
    /// What goes on once a user is known, or is not to be known in time.
    private var waiting: [UInt32: [() -> Void]] = [:]
    /// How long they wait at most.
    private var timers: [UInt32: Timer] = [:]
    /// Users to be looked up.
    private var queue = FIFO<UInt32>()
    /// In the queue, or looked up now.
    private var asked: Set<UInt32> = []
    private var lookups = 0

    init(
        loop: EventLoop, settings: Settings.Egress, log: ServiceLog,
        lookUp: @escaping Lookup = { UserDirectory.identity(of: $0, among: $1) }
    ) {
        self.loop = loop
        self.log = log
        self.lookUp = lookUp
        self.settings = settings
        settingsChanged()
    }

    /// Takes over other settings, for attempts that begin from now on; where rules depend on the user, from the moment at
    /// which the user has been looked up again.
    ///
    /// - Returns: whether those that wait in a queue have to be asked about again (`whenKnown`).
    @discardableResult
    func apply(_ settings: Settings.Egress) -> Bool {
        guard settings != self.settings else { return false }
        self.settings = settings
        settingsChanged()
        return settings.dependsOnUser
    }

    /// The rules for a user's next attempt: the strictest where nothing is known of the user.
    func rules(for userID: UInt32) -> String {
        settings.dependsOnUser ? known[userID]?.rules ?? strictest : common
    }

    /// Calls `next` as soon as the rules for a user are known: most often at once.
    func whenKnown(_ userID: UInt32, _ next: @escaping () -> Void) {
        guard settings.dependsOnUser else { return next() }
        if let user = known[userID], user.generation == generation {
            if ContinuousClock.now - user.since > Self.freshness { ask(userID) }
            return next()
        }
        ask(userID)
        let isFirst = waiting[userID] == nil
        waiting[userID, default: []].append(next)
        guard isFirst else { return }
        timers[userID] = loop.after(Self.patience) { [weak self] in
            guard let self, waiting[userID] != nil else { return }
            isUnknown(userID)
            goOn(userID)
        }
    }

    // MARK: Inside

    private func settingsChanged() {
        generation += 1
        common = settings.rules(names: [], memberships: []).compact
        strictest = settings.strictestRules().compact
        guard settings.dependsOnUser else {
            known = [:]
            for userID in Array(waiting.keys) { goOn(userID) }
            return
        }
        for userID in Array(known.keys) { whenKnown(userID) {} }
        reportUnknownNames()
    }

    private func reportUnknownNames() {
        let (users, groups) = (settings.users.keys.sorted(), settings.groups.keys.sorted())
        let mailbox = Mailbox(self)
        // Without a thread the administrator is not told of a mistyped name, which is no reason to fail.
        try? DetachedThread.start {
            let names = UserDirectory.unknown(users: users, groups: groups)
            guard !names.isEmpty else { return }
            mailbox.post { $0.namesAreUnknown(names) }
        }
    }

    private func namesAreUnknown(_ names: [String]) {
        log.egressNamesUnknown(names)
    }

    private func isUnknown(_ userID: UInt32) {
        guard known[userID]?.generation != generation else { return }
        known[userID] = nil
        log.directorySilent(userID: userID)
    }

    private func ask(_ userID: UInt32) {
        guard asked.insert(userID).inserted else { return }
        queue.append(userID)
        startNext()
    }

    private func startNext() {
        while lookups < Self.mostLookups, let userID = queue.first {
            queue.removeFirst()
            let (groups, generation, lookUp) = (settings.groups.keys.sorted(), generation, lookUp)
            let mailbox = Mailbox(self)
            do {
                try DetachedThread.start(blockingSignals: true) {
                    let identity = lookUp(userID, groups)
                    mailbox.post { $0.answered(userID, identity, generation) }
                }
                lookups += 1
            } catch {
                // Without a thread there is no answer, and the jobs that wait have patience.
                asked.remove(userID)
            }
        }
    }

    private func answered(_ userID: UInt32, _ identity: UserIdentity?, _ generation: Int) {
        lookups -= 1
        asked.remove(userID)
        if generation == self.generation {
            take(identity, of: userID)
            goOn(userID)
        } else if waiting[userID] != nil {
            ask(userID)
        }
        startNext()
    }

    private func take(_ identity: UserIdentity?, of userID: UInt32) {
        // One that was known before is still known if the directory fails later.
        guard let identity else { return isUnknown(userID) }
        if known.count >= Self.mostUsers, known[userID] == nil,
            let oldest = known.min(by: { $0.value.since < $1.value.since })
        {
            known[oldest.key] = nil
        }
        let rules =
            identity.hasEntry
            ? settings.rules(names: identity.names, memberships: identity.memberships)
            : settings.strictestRules(names: identity.names)
        known[userID] = Known(generation: generation, since: .now, rules: rules.compact)
    }

    private func goOn(_ userID: UInt32) {
        timers.removeValue(forKey: userID)?.cancel()
        for next in waiting.removeValue(forKey: userID) ?? [] { next() }
    }
}
