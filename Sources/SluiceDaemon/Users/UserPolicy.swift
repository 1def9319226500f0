internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import Unix

/// What the settings mean for each user: where the user's jobs may connect to, and the user's limits.
///
/// If the settings name users or groups, the policy looks up each user who connects in the user directory. It does so
/// on a separate thread, because the directory may be a server on the network that does not answer. Callers that need
/// the answer wait for it, up to `patience`; if there is none, the strictest rules apply. An answer is valid for
/// `freshness`. After that it is looked up again, while the old answer stays in use. If the settings name no users or
/// groups, nothing is looked up.
///
/// ## Concurrency model Belongs to the loop's thread. A lookup runs on a thread of its own (`DetachedThread`), which
/// touches nothing of the policy; its answer comes back to the loop's thread through a `Mailbox`.
final class UserPolicy {
    /// Looks up a user, on any thread. Nil if the directory does not answer.
    typealias Lookup = @Sendable (_ userID: UInt32, _ groups: [String]) -> UserIdentity?

    /// How long a caller waits for the directory.
    static let patience = Duration.seconds(5)
    /// After a lookup without an answer, callers do not wait again for this long.
    private static let silence = Duration.seconds(10)
    /// The age at which an answer is looked up again.
    private static let freshness = Duration.seconds(60)
    /// The maximum number of answers that are kept.
    private static let mostUsers = 4096
    /// The maximum number of simultaneous lookups.
    private static let mostLookups = 4

    private struct Known {
        /// The generation of the settings that the rules were made from.
        var generation: Int
        var since: ContinuousClock.Instant
        /// The directory's answer to a question about these groups.
        var identity: UserIdentity
        var groups: Set<String>
        var rules: Rules
    }

    /// The rules for one user.
    private struct Rules: Equatable {
        /// The egress rules, in their compact form.
        var egress: String
        var share: UserShare
    }

    /// Carries answers of lookup threads to the loop's thread.
    private final class Mailbox: Sendable {
        private let loop: EventLoop
        // Set in `init` and read in `execute`, both on the loop's thread, where the policy lives. A lookup thread may
        // only release the mailbox, which is safe: the runtime makes access to weak references atomic.
        private nonisolated(unsafe) weak var policy: UserPolicy?

        init(_ policy: UserPolicy) {
            loop = policy.loop
            self.policy = policy
        }

        func post(_ work: @escaping @Sendable (UserPolicy) -> Void) {
            loop.execute { [self] in if let policy { work(policy) } }
        }
    }

    private let loop: EventLoop
    private let log: ServiceLog
    private let lookUp: Lookup
    private var settings: Settings
    /// Counts changes of the settings. An answer to a question of an earlier generation is discarded.
    private var generation = 0
    /// The egress rules of all users, if no rule depends on the user.
    private var commonEgress = ""
    private var strictestEgress = ""
    /// The limits of all users, if none depends on the user.
    private var commonShare: UserShare
    /// Called when a user has been looked up and the user's rules may have changed.
    var onUserKnown: ((UInt32) -> Void)?
    private var known: [UInt32: Known] = [:]
    /// When the directory last did not answer, by user.
    private var silences: [UInt32: ContinuousClock.Instant] = [:]
    /// What to do once a user is known, or the wait for it has ended.
    private var waiting: [UInt32: [() -> Void]] = [:]
    /// The timers that end the waits.
    private var timers: [UInt32: Timer] = [:]
    /// Users whose lookup has not begun.
    private var queue = FIFO<UInt32>()
    /// Users in the queue or whose lookup is running.
    private var asked: Set<UInt32> = []
    private var lookups = 0

    init(
        loop: EventLoop, settings: Settings, log: ServiceLog,
        lookUp: @escaping Lookup = { UserDirectory.identity(of: $0, among: $1) }
    ) {
        self.loop = loop
        self.log = log
        self.lookUp = lookUp
        self.settings = settings
        commonShare = settings.share(userID: .max, names: [], memberships: [])
        settingsChanged()
    }

    /// Applies changed settings to attempts that begin from now on. Rules that depend on the user apply as soon as the
    /// user has been looked up again.
    ///
    /// - Returns: whether the users of waiting jobs must be looked up again (`whenKnown`).
    @discardableResult
    func apply(_ new: Settings) -> Bool {
        let old = settings
        settings = new
        guard new.egress != old.egress || new.users != old.users || new.limits != old.limits else {
            return false
        }
        settingsChanged()
        return dependsOnUser
    }

    /// The egress rules for a user's next attempt. The strictest rules if nothing is known of the user.
    func egress(for userID: UInt32) -> String {
        settings.egress.dependsOnUser ? known[userID]?.rules.egress ?? strictestEgress : commonEgress
    }

    /// The limits of a user. The lowest limits if nothing is known of the user.
    func share(for userID: UInt32) -> UserShare {
        var share =
            settings.users.dependsOnUser
            ? known[userID]?.rules.share
                ?? settings.share(userID: userID, names: ["\(userID)"], memberships: nil, isNameKnown: false)
            : commonShare
        if Self.isOperator(userID) { share.isAllowed = true }
        return share
    }

    /// Whether a user may control the service and see what each user does: root, and the user that the service runs as.
    /// Operators are admitted regardless of the settings and the directory.
    static func isOperator(_ userID: UInt32) -> Bool { userID == 0 || userID == ownUserID }

    /// The service's own user, asked for once, because it never changes and every connection needs it.
    private static let ownUserID = geteuid()

    /// Whether it is certain that a user may not use the service. It is not certain for a user who cannot be looked up:
    /// such a user is not admitted, but keeps jobs and connections.
    func isDenied(_ userID: UInt32) -> Bool {
        !share(for: userID).isAllowed
            && (!settings.users.dependsOnUser || known[userID]?.generation == generation)
    }

    /// Calls `next` as soon as the rules for a user are known, which is usually at once, or after `patience`.
    func whenKnown(_ userID: UInt32, _ next: @escaping () -> Void) {
        guard dependsOnUser else { return next() }
        if let user = known[userID], user.generation == generation {
            if ContinuousClock.now - user.since > Self.freshness { ask(userID) }
            return next()
        }
        ask(userID)
        // A wait for this user has just ended without an answer, so do not wait again.
        if let silence = silences[userID], ContinuousClock.now - silence < Self.silence { return next() }
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

    private var dependsOnUser: Bool { settings.egress.dependsOnUser || settings.users.dependsOnUser }

    private func settingsChanged() {
        generation += 1
        commonEgress = settings.egress.rules(names: [], memberships: []).compact
        strictestEgress = settings.egress.strictestRules().compact
        commonShare = settings.share(userID: .max, names: [], memberships: [])
        guard dependsOnUser else {
            known = [:]
            for userID in Array(waiting.keys) { goOn(userID) }
            return
        }
        for userID in Array(known.keys) { whenKnown(userID) {} }
        reportUnknownNames()
    }

    /// All groups that the settings name.
    private var groups: [String] {
        Set(settings.egress.groups.keys).union(settings.users.groups.keys).sorted()
    }

    private func reportUnknownNames() {
        let asked: [(section: String, names: [String], areGroups: Bool)] = [
            ("egress.users", settings.egress.users.keys.sorted(), false),
            ("egress.groups", settings.egress.groups.keys.sorted(), true),
            ("users", settings.users.users.keys.sorted(), false),
            ("groups", settings.users.groups.keys.sorted(), true),
        ]
        let mailbox = Mailbox(self)
        // If no thread can be started, the administrator is not told of a mistyped name, which is no reason to fail.
        try? DetachedThread.start {
            let names = asked.flatMap { section, names, areGroups in
                (areGroups ? UserDirectory.unknown(groups: names) : UserDirectory.unknown(users: names))
                    .map { "\(section).\($0)" }
            }
            guard !names.isEmpty else { return }
            mailbox.post { $0.namesAreUnknown(names) }
        }
    }

    private func namesAreUnknown(_ names: [String]) {
        log.namesUnknown(names)
    }

    /// The directory does not answer. An earlier answer stays in use if it covers all groups that the settings name
    /// now.
    private func isUnknown(_ userID: UInt32) {
        if silences.count > Self.mostUsers { silences = [:] }
        silences[userID] = .now
        guard let old = known[userID] else { return log.directorySilent(userID: userID) }
        guard old.generation != generation else { return }
        if old.groups.isSuperset(of: groups) {
            know(userID, old.identity, since: old.since)
            onUserKnown?(userID)
        } else {
            known[userID] = nil
        }
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
            let (groups, generation, lookUp) = (groups, generation, lookUp)
            let mailbox = Mailbox(self)
            do {
                try DetachedThread.start(blockingSignals: true) {
                    let identity = lookUp(userID, groups)
                    mailbox.post { $0.answered(userID, identity, generation) }
                }
                lookups += 1
            } catch {
                // If no thread can be started, there is no answer, and the callers wait until `patience` has passed.
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
        // `isUnknown` keeps an earlier answer if the directory fails now.
        guard let identity else { return isUnknown(userID) }
        silences[userID] = nil
        if known.count >= Self.mostUsers, known[userID] == nil,
            let oldest = known.min(by: { $0.value.since < $1.value.since })
        {
            known[oldest.key] = nil
        }
        let before = known[userID]
        know(userID, identity, since: .now)
        // Usually nothing has changed since the last lookup, and then there is nothing to report.
        if before?.generation != generation || before?.rules != known[userID]?.rules { onUserKnown?(userID) }
    }

    private func know(_ userID: UInt32, _ identity: UserIdentity, since: ContinuousClock.Instant) {
        let egress =
            identity.hasEntry
            ? settings.egress.rules(names: identity.names, memberships: identity.memberships)
            : settings.egress.strictestRules(names: identity.names)
        let share = settings.share(
            userID: userID, names: identity.names,
            memberships: identity.hasEntry ? identity.memberships : nil)
        known[userID] = Known(
            generation: generation, since: since, identity: identity, groups: Set(groups),
            rules: Rules(egress: egress.compact, share: share))
    }

    private func goOn(_ userID: UInt32) {
        timers.removeValue(forKey: userID)?.cancel()
        for next in waiting.removeValue(forKey: userID) ?? [] { next() }
    }
}
