internal import CUnix
internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// The lanes: a minimum that is kept warm, and more for the jobs that wait, up to a maximum.
///
/// A lane that has run a job of one user is never given to another user, so that what the process may keep of a
/// transfer stays with its user. Among a user's own lanes, the one whose last job asked the same origin is taken first,
/// because its connection may be open.
///
/// Belongs to the loop's thread.
final class LanePool {
    /// What the pool tells its owner.
    struct Events {
        /// A lane can take an order, or one more can be started. The owner must ask for lanes again.
        var available: () -> Void
        /// A lane that has an order reports something about it.
        var report: (Lane, LaneReport) -> Void
        /// A lane has ended without being asked to. It will not write again.
        var died: (Lane, ProcessExit) -> Void
        /// No lane can be started. The `served` users have lanes; jobs of all other users would wait in vain.
        var unavailable: (_ reason: String, _ served: Set<UInt32>) -> Void
        /// The minimum of lanes is warm, or at least one lane is and another has failed to start. Called once, unless
        /// `neverWarm` is called.
        var warm: () -> Void
        /// No lane has become warm since the start, for this reason.
        var neverWarm: (String) -> Void
    }

    /// Errors that may pass by themselves, for example when other lanes end.
    private static let shortages: Set<Errno> = [
        .resourceTemporarilyUnavailable, .noMemory, .tooManyOpenFiles, .tooManyOpenFilesInSystem,
    ]
    /// How long a lane may take to become ready.
    private static let startTime = Duration.seconds(10)
    /// How long lanes may take to end when the service does.
    private static let endTime = Duration.seconds(1)

    var settings: Settings.Lanes {
        didSet {
            maintain()
            events?.available()
        }
    }
    /// The number of lanes that have ended without being asked to.
    private(set) var deaths = 0
    /// The number of lanes that were started as processes.
    private(set) var starts = 0
    /// The number of lanes that did not start, or died before they were ready.
    var failures: Int { health.failures }
    /// Why the latest lane did not start; nil once a lane has started.
    var trouble: String? { health.trouble }

    /// Gets the control sockets of lanes that have ended, if they hold unread messages.
    var onUnread: ((consuming OwnedDescriptor) -> Void)?

    private let loop: EventLoop
    private let executable: String
    private let makeTransport: () throws(Errno) -> any LaneTransport
    private let log: any LaneLog
    private var events: Events?
    private var lanes: [ObjectIdentifier: Lane] = [:]
    private var health = LaneStarts()
    private var pause: Timer?
    private var idleTimer: Timer?
    private var isClosed = false
    private var completion: (() -> Void)?
    private var lastWait: Timer?
    private var isStopping = false
    private var knowsConfinement = false

    /// - Parameters:
    ///   - executable: the lane's program, for sentences.
    ///   - makeTransport: starts the process of a lane.
    init(
        loop: EventLoop, executable: String, settings: Settings.Lanes, log: any LaneLog,
        makeTransport: @escaping () throws(Errno) -> any LaneTransport
    ) {
        self.loop = loop
        self.executable = executable
        self.settings = settings
        self.log = log
        self.makeTransport = makeTransport
    }

    func start(_ events: Events) {
        self.events = events
        maintain()
    }

    /// From now on no lane is started any more.
    func stopStarting() {
        isStopping = true
    }

    /// Retires all lanes. The caller must have ended the jobs of those that have an order.
    func close() {
        isClosed = true
        pause?.cancel()
        idleTimer?.cancel()
        for lane in lanes.values { lane.retire() }
    }

    /// Waits until all lanes have ended, so that nothing is left for the service manager to kill, but no longer than
    /// `endTime`. Called after `close`.
    func whenEmpty(_ completion: @escaping () -> Void) {
        guard !lanes.isEmpty else { return completion() }
        self.completion = completion
        lastWait = loop.after(Self.endTime) { [self] in complete() }
    }

    private func complete() {
        lastWait?.cancel()
        completion?()
        completion = nil
    }

    /// The number of lanes that have not ended.
    var count: Int { lanes.count }
    /// The memory that the lanes take, in bytes.
    var memory: Int { lanes.values.compactMap(\.memory).reduce(0, +) }

    var counts: Ingest.LaneCounts {
        var counts = Ingest.LaneCounts()
        for lane in lanes.values where !lane.isRetired {
            switch lane.activity {
            case .starting: counts.starting += 1
            case .idle: counts.idle += 1
            case .busy: counts.busy += 1
            }
        }
        counts.died = deaths
        counts.limit = settings.maximum
        return counts
    }

    /// Takes a lane for a job. If there is none, tries to make one; `available` is called when the caller should ask
    /// again.
    ///
    /// - Parameters:
    ///   - needsKey: the lane will be given the private key for a host, so it must not have asked another host.
    ///   - waiting: the number of jobs that wait for a lane.
    func take(userID: UInt32, origin: Origin, needsKey: Bool, waiting: Int) -> Lane? {
        if let lane = takeWaiting(userID: userID, origin: origin, needsKey: needsKey) { return lane }
        guard !isClosed else { return nil }
        var wanted = waiting - live.count { $0.activity == .starting }
        while wanted > 0, live.count < settings.maximum, startOne() { wanted -= 1 }
        // A lane above the maximum is the one that is kept for root; its end would make no room.
        if wanted > 0, live.count == settings.maximum, let other = oldestIdle() {
            // All idle lanes belong to other users: one of them makes room.
            other.retire()
            _ = startOne()
        }
        if health.breakdown != nil, health.isPausing, !live.contains(where: { $0.affinity?.userID == userID })
        {
            // Report it later, because the caller is just going through the queue.
            loop.after(.zero) { [weak self] in self?.reportBreakdown() }
        }
        return nil
    }

    /// Takes an idle lane: one of the user's own, or one that has had no user.
    func takeWaiting(userID: UInt32, origin: Origin, needsKey: Bool) -> Lane? {
        guard !isClosed, let lane = best(userID: userID, origin: origin, needsKey: needsKey) else {
            return nil
        }
        lane.activity = .busy
        lane.affinity = Lane.Affinity(userID: userID, origin: origin)
        return lane
    }

    /// Whether all lanes are taken and none works for root, so that root may have one more.
    var keepsReserve: Bool {
        guard !isClosed, live.count >= settings.maximum, live.count <= settings.maximum + 1 else {
            return false
        }
        return !live.contains { lane in
            switch lane.activity {
            case .busy: lane.affinity?.userID == 0
            // An idle lane of another user can make room.
            case .idle: lane.affinity?.userID != 0
            case .starting: false
            }
        }
    }

    /// Takes the lane that is kept for root. If there is none, starts it; `available` is called once it can be taken.
    func takeReserved(origin: Origin, needsKey: Bool) -> Lane? {
        if let lane = takeWaiting(userID: 0, origin: origin, needsKey: needsKey) { return lane }
        for lane in live where lane.affinity?.userID == 0 {
            // An idle lane of root's that cannot serve this host makes room for one that can.
            if case .idle = lane.activity { lane.retire() }
        }
        guard !live.contains(where: { $0.affinity?.userID == 0 }), live.count == settings.maximum else {
            return nil
        }
        _ = startOne(for: Lane.Affinity(userID: 0, origin: origin))
        return nil
    }

    /// Retires idle lanes that may have kept a connection to a host, if more than `most` lanes may have one.
    ///
    /// - Parameter host: the host in its normal form.
    func closeIdle(to host: String, beyond most: Int) {
        let those = live.filter { lane in
            lane.affinity.map { Settings.Origins.normal($0.origin.host) == host } ?? false
        }
        var excess = those.count - most
        for lane in those where excess > 0 {
            guard case .idle = lane.activity else { continue }
            lane.retire()
            excess -= 1
        }
    }

    /// Takes back a lane that could not be given its order, or has ended it.
    func giveBack(_ lane: Lane) {
        guard !lane.hasEnded else { return }
        lane.activity = .idle(since: .now)
        if live.count > settings.maximum { lane.retire() }
        events?.available()
        scheduleIdleCheck()
    }

    // MARK: Inside

    private var live: [Lane] { lanes.values.filter { !$0.isRetired } }

    private func best(userID: UInt32, origin: Origin, needsKey: Bool) -> Lane? {
        var fresh: Lane?
        var sameUser: Lane?
        for lane in lanes.values {
            guard !lane.isRetired, case .idle = lane.activity,
                lane.certificateHost.map({ $0 == origin.host }) ?? (!needsKey || lane.affinity == nil)
            else { continue }
            switch lane.affinity {
            case nil: fresh = fresh ?? lane
            case let affinity? where affinity.userID == userID:
                if affinity.origin == origin { return lane }
                sameUser = sameUser ?? lane
            case _?: break
            }
        }
        return fresh ?? sameUser
    }

    private func oldestIdle() -> Lane? {
        var oldest: (since: ContinuousClock.Instant, lane: Lane)?
        for lane in live {
            guard case .idle(let since) = lane.activity else { continue }
            if oldest.map({ since < $0.since }) ?? true { oldest = (since, lane) }
        }
        return oldest?.lane
    }

    /// Starts the lanes that are missing to the minimum. At the start of the service it starts at least one, to find
    /// out whether lanes can be started.
    private func maintain() {
        guard !isClosed, events != nil else { return }
        while live.count < max(settings.minimum, health.hasComeUp ? 0 : 1), startOne() {}
        while live.count > settings.maximum, let lane = oldestIdle() { lane.retire() }
        scheduleIdleCheck()
    }

    private func startOne(for affinity: Lane.Affinity? = nil) -> Bool {
        guard !health.isPausing, !isStopping else { return false }
        do {
            let transport = try makeTransport()
            transport.onUnread = onUnread
            let lane = Lane(
                transport, onReport: { [weak self] lane, report in self?.heard(lane, report) },
                onExit: { [weak self] lane, exit in self?.ended(lane, exit) })
            lane.affinity = affinity
            lanes[ObjectIdentifier(lane)] = lane
            starts += 1
            loop.after(Self.startTime) { [weak lane] in
                guard let lane, lane.activity == .starting else { return }
                lane.fault = "it was not ready after \(Self.startTime)"
                lane.kill()
            }
            return true
        } catch {
            failedToStart("\(executable): \(error)", isShortage: Self.shortages.contains(error))
            return false
        }
    }

    private func heard(_ lane: Lane, _ report: LaneReport) {
        switch report {
        case .ready(let wire, let confinement):
            guard lane.activity == .starting else { return }
            guard wire == LaneReport.wire else {
                lane.fault = "it is of another version than the service, which is to be restarted"
                return lane.kill()
            }
            lane.activity = .idle(since: .now)
            log.laneStarted(lane.processID)
            if !confinement.isSuperset(of: .full) { isLessConfined(confinement) }
            if let news = health.succeeds(census, minimum: settings.minimum) { tell(news) }
            scheduleIdleCheck()
            events?.available()
        case .idle, .responded, .stalled, .flowing, .held, .released, .keepsUp, .ended:
            // These reports have a meaning only from a lane that has an order.
            if lane.activity == .busy { events?.report(lane, report) }
        }
    }

    /// A lane reports, before it has read anything from an origin, that it is not fully confined. Logged once, because
    /// all lanes have the same kernel.
    private func isLessConfined(_ confinement: LaneConfinement) {
        guard !knowsConfinement else { return }
        knowsConfinement = true
        log.lanesLessConfined(confinement.missing)
        // Landlock keeps a lane from looking into the daemon. Without it the daemon must hide itself from all processes
        // of its user, which also rules out debuggers and core dumps.
        if !confinement.contains(.files) { cunix_hide_from_user() }
    }

    private func ended(_ lane: Lane, _ exit: ProcessExit) {
        lanes[ObjectIdentifier(lane)] = nil
        if isClosed, lanes.isEmpty { complete() }
        guard !isClosed, !lane.isRetired else { return }
        deaths += 1
        if lane.activity == .starting {
            failedToStart(lane.fault ?? "it ended with \(exit) before it was ready", isShortage: false)
        }
        events?.died(lane, exit)
        maintain()
        events?.available()
    }

    /// - Parameter isShortage: the failure may pass as soon as another lane has ended.
    private func failedToStart(_ reason: String, isShortage: Bool) {
        log.laneCannotStart(reason)
        // A lane that an attacker has taken over may hold the threads that the others need.
        if isShortage { for lane in lanes.values { lane.killIfCrowded() } }
        let (news, wait) = health.fails(reason, isShortage: isShortage, census)
        news.forEach(tell)
        guard let wait, !isClosed else { return }
        pause = loop.after(wait) { [weak self] in
            guard let self else { return }
            health.pauseEnds()
            maintain()
            events?.available()
            if health.mustTry(census) { _ = startOne() }
        }
    }

    private func tell(_ news: LaneStarts.News) {
        switch news {
        case .warm: events?.warm()
        case .neverWarm(let sentence):
            isClosed = true
            events?.neverWarm(sentence)
        case .unavailable(let sentence, let isNew):
            if isNew { log.lanesUnavailable(sentence) }
            reportBreakdown()
        }
    }

    private func reportBreakdown() {
        guard let breakdown = health.breakdown, !isClosed else { return }
        events?.unavailable(breakdown, Set(live.compactMap { $0.affinity?.userID }))
    }

    private var census: LaneStarts.Census {
        let starting = live.count { $0.activity == .starting }
        return LaneStarts.Census(starting: starting, warm: live.count - starting)
    }

    /// Plans the retirement of idle lanes above the minimum. Used lanes are retired below the minimum as well, because
    /// fresh ones can serve any user. If there is no such lane, there is no timer.
    private func scheduleIdleCheck() {
        guard !isClosed, idleTimer == nil else { return }
        var next: ContinuousClock.Instant?
        for lane in live {
            guard case .idle(let since) = lane.activity, isSurplus(lane) else { continue }
            let due = since + .seconds(settings.idleSeconds)
            next = next.map { min($0, due) } ?? due
        }
        guard let next else { return }
        idleTimer = loop.after(max(.zero, next - .now)) { [weak self] in
            guard let self else { return }
            idleTimer = nil
            let now = ContinuousClock.now
            for lane in live {
                guard case .idle(let since) = lane.activity, isSurplus(lane),
                    since + .seconds(settings.idleSeconds) <= now
                else { continue }
                lane.retire()
            }
            maintain()
            events?.available()
        }
    }

    private func isSurplus(_ lane: Lane) -> Bool {
        lane.affinity != nil || live.count > settings.minimum
    }
}
