internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import UnixSockets

/// What the settings come to for each user: where the user's jobs may connect to, and what the user may have.
///
/// Where the settings speak of users or groups, the directory of users is asked when a user comes: on a thread of its own,
/// because it may be a server on the network that does not answer. Whoever needs the answer waits for it, up to `patience`,
/// and gets the strictest rules where there is none. What was found is good for `freshness`; after that it is looked up
/// again while everything goes on with what was known. Without users and groups in the settings nothing is looked up.
///
/// Belongs to the loop's thread.
final class UserPolicy {
    /// Looks a user up; on any thread. Nil where the directory does not answer.
    typealias Lookup = @Sendable (_ userID: UInt32, _ groups: [String]) -> UserIdentity?

    /// How long anybody waits for the directory.
    static let patience = Duration.seconds(5)
    /// For how long nobody waits again for an answer that did not come.
    private static let silence = Duration.seconds(10)
    /// How old an answer may be before it is looked up again.
    private static let freshness = Duration.seconds(60)
    /// Answers that are kept.
    private static let mostUsers = 4096
    /// Users that are looked up at once.
    private static let mostLookups = 4

    private struct Known {
        /// Of the settings that the rules are of.
        var generation: Int
        var since: ContinuousClock.Instant
        /// What the directory said, when it was asked about these groups.
        var identity: UserIdentity
        var groups: Set<String>
        var rules: Rules
    }

    /// What holds for one user.
    private struct Rules: Equatable {
        /// The egress rules, in their compact form.
        var egress: String
        var share: UserShare
    }

    /// Carries answers to the loop's thread.
    private final class Mailbox: Sendable {
        private let loop: EventLoop
        // Only touched on the loop's thread, in `execute`: the policy lives there.
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
    /// Counts the settings that there have been: an answer to a question of earlier ones is none.
    private var generation = 0
    /// Where no egress rule depends on the user.
    private var commonEgress = ""
    private var strictestEgress = ""
    /// Where nothing that a user may have depends on the user.
    private var commonShare: UserShare
    /// A user has been looked up, and it may be that not everything is as before.
    var onUserKnown: ((UInt32) -> Void)?
    private var known: [UInt32: Known] = [:]
    /// Of whom the directory last said nothing, and when.
    private var silences: [UInt32: ContinuousClock.Instant] = [:]
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

    /// Takes over other settings, for attempts that begin from now on; where rules depend on the user, from the moment at
    /// which the user has been looked up again.
    ///
    /// - Returns: whether those that wait in a queue have to be asked about again (`whenKnown`).
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

    /// The egress rules for a user's next attempt: the strictest where nothing is known of the user.
    func egress(for userID: UInt32) -> String {
        settings.egress.dependsOnUser ? known[userID]?.rules.egress ?? strictestEgress : commonEgress
    }

    /// What a user may have: the least where nothing is known of the user.
    func share(for userID: UInt32) -> UserShare {
        var share =
            settings.users.dependsOnUser
            ? known[userID]?.rules.share
                ?? settings.share(userID: userID, names: ["\(userID)"], memberships: nil, isNameKnown: false)
            : commonShare
        if Self.isOperator(userID) { share.isAllowed = true }
        return share
    }

    /// Who may tell the service what to do, and see who does what: root, and the user that it runs as. Whatever the settings
    /// and the directory say, they get in.
    static func isOperator(_ userID: UInt32) -> Bool { userID == 0 || userID == ownUserID }

    /// It never changes, and is asked for with every connection.
    private static let ownUserID = geteuid()

    /// Whether it is certain that a user may not use the service: who cannot be looked up is let in no more, and not shown
    /// out either.
    func isDenied(_ userID: UInt32) -> Bool {
        !share(for: userID).isAllowed
            && (!settings.users.dependsOnUser || known[userID]?.generation == generation)
    }

    /// Calls `next` as soon as the rules for a user are known: most often at once.
    func whenKnown(_ userID: UInt32, _ next: @escaping () -> Void) {
        guard dependsOnUser else { return next() }
        if let user = known[userID], user.generation == generation {
            if ContinuousClock.now - user.since > Self.freshness { ask(userID) }
            return next()
        }
        ask(userID)
        // It was waited for just now.
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

    /// All groups that the settings speak of.
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
        // Without a thread the administrator is not told of a mistyped name, which is no reason to fail.
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

    /// The directory does not answer. What it said before counts, as far as it was asked about the groups of today.
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
        silences[userID] = nil
        if known.count >= Self.mostUsers, known[userID] == nil,
            let oldest = known.min(by: { $0.value.since < $1.value.since })
        {
            known[oldest.key] = nil
        }
        let before = known[userID]
        know(userID, identity, since: .now)
        // Most often it is as it was a minute ago.
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
