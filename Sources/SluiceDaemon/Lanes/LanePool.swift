internal import CUnix
internal import EventLoop
internal import Glibc
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
    /// What the pool has for a job.
    enum Supply {
        case lane(Lane)
        /// No lane yet. The user's lanes that are at work will probably be free before a new one would be ready.
        case soon
        /// No lane yet. Lanes are starting, for this job or for others that need one.
        case starting
        /// No lane, and none can be started for any user just now.
        case none
    }

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

    /// Learns what has become of a lane that a nursery has forked, and the number of that nursery.
    var onFate: ((_ nursery: Int, Nursery.Fate) -> Void)?

    private let loop: EventLoop
    private let executable: String
    private let makeTransport: () throws(Errno) -> any LaneTransport
    private let log: any LaneLog
    private var events: Events?
    private var lanes = LaneRoster()
    private let planner: StartPlanner
    private lazy var idle = IdleRetirement(
        loop: loop, clock: clock,
        surplus: { [unowned self] in isClosed ? [] : live.filter { $0.activity == .idle && isSurplus($0) } },
        idleSeconds: { [unowned self] in settings.idleSeconds },
        onRetired: { [unowned self] in
            maintain()
            events?.available()
        })
    private let clock: () -> UInt64
    private var health = LaneStarts()
    private var pause: Timer?
    private var isClosed = false
    private var completion: (() -> Void)?
    private var lastWait: Timer?
    private var isStopping = false
    private var knowsConfinement = false

    /// - Parameters:
    ///   - executable: the lane's program, for sentences.
    ///   - rules: decides when to start lanes.
    ///   - clock: any monotonic clock, in ns.
    ///   - makeTransport: starts the process of a lane.
    init(
        loop: EventLoop, executable: String, settings: Settings.Lanes, log: any LaneLog,
        rules: StartRules = StartRules(processors: Processors.available, startTime: 20_000_000),
        clock: @escaping () -> UInt64 = Monotonic.nanoseconds,
        makeTransport: @escaping () throws(Errno) -> any LaneTransport
    ) {
        self.loop = loop
        self.executable = executable
        self.settings = settings
        self.log = log
        self.clock = clock
        planner = StartPlanner(rules: rules, clock: clock, loop: loop)
        self.makeTransport = makeTransport
    }

    func start(_ events: Events) {
        self.events = events
        planner.onReminder = { [weak self] in self?.events?.available() }
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
        idle.close()
        planner.forgetReminder()
        for lane in lanes.all { lane.retire() }
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
    var memory: Int { lanes.all.compactMap(\.memory).reduce(0, +) }

    var counts: Ingest.LaneCounts {
        var counts = lanes.counts
        counts.died = deaths
        counts.limit = settings.maximum
        return counts
    }

    /// Takes a lane for a job. If there is none, tries to make one; `available` is called when the caller should ask
    /// again.
    ///
    /// - Parameters:
    ///   - waiting: the number of the user's jobs that wait for a lane.
    ///   - othersWaiting: the number of jobs of other users that were told `starting`, since the owner began to ask.
    ///   - isFirst: it is this user's turn, so an idle lane of another user may make room for a new one.
    func take(for need: LaneRoster.Need, waiting: Int, othersWaiting: Int = 0, isFirst: Bool = true) -> Supply
    {
        if let lane = takeWaiting(for: need) { return .lane(lane) }
        guard !isClosed else { return .none }
        let supply = startLanes(
            for: need, waiting: waiting, othersWaiting: othersWaiting, mayReplace: isFirst)
        if health.breakdown != nil, health.isPausing,
            !live.contains(where: { $0.affinity?.userID == need.userID })
        {
            // Report it later, because the caller is just going through the queue.
            loop.after(.zero) { [weak self] in self?.reportBreakdown() }
        }
        return supply
    }

    /// Starts as many lanes as are worth it.
    private func startLanes(for need: LaneRoster.Need, waiting: Int, othersWaiting: Int, mayReplace: Bool)
        -> Supply
    {
        let mayStart = live.count < settings.maximum || mayReplace && lanes.oldestIdle != nil
        guard mayStart, !health.isPausing, !isStopping else { return .none }
        var situation = lanes.situation(for: need, at: clock())
        situation.waiting = waiting
        situation.othersWaiting = othersWaiting
        switch planner.decide(situation) {
        case .enough: return .starting
        case .full: return .none
        case .later: return .soon
        case .start(var wanted):
            while wanted > 0, live.count < settings.maximum, startOne() { wanted -= 1 }
            // A lane above the maximum is the one that is kept for root; its end would make no room.
            if mayReplace, wanted > 0, live.count == settings.maximum, let other = lanes.oldestIdle {
                // All idle lanes belong to other users: one of them makes room.
                other.retire()
                _ = startOne()
            }
            return .starting
        }
    }

    /// The owner asks for lanes for all jobs that wait.
    func forgetReminder() { planner.forgetReminder() }

    /// Takes an idle lane: one of the user's own, or one that has had no user.
    func takeWaiting(for need: LaneRoster.Need) -> Lane? {
        guard !isClosed, let lane = lanes.best(for: need) else { return nil }
        lane.activity = .busy
        lane.affinity = Lane.Affinity(userID: need.userID, origin: need.origin)
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
    ///
    /// - Parameter need: that of a job of root's.
    func takeReserved(for need: LaneRoster.Need) -> Lane? {
        if let lane = takeWaiting(for: need) { return lane }
        for lane in live where lane.affinity?.userID == 0 {
            // An idle lane of root's that cannot serve this host makes room for one that can.
            if lane.activity == .idle { lane.retire() }
        }
        guard !live.contains(where: { $0.affinity?.userID == 0 }), live.count == settings.maximum else {
            return nil
        }
        _ = startOne(for: Lane.Affinity(userID: 0, origin: need.origin))
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
            guard lane.activity == .idle else { continue }
            lane.retire()
            excess -= 1
        }
    }

    /// Takes back a lane that could not be given its order, or has ended it.
    ///
    /// - Parameter hasWorked: the lane has had its order.
    func giveBack(_ lane: Lane, hasWorked: Bool = true) {
        guard !lane.hasEnded else { return }
        if hasWorked { planner.isDone(lane) }
        lane.activity = .idle
        if live.count > settings.maximum { lane.retire() }
        if lane.mustRetire {
            lane.retire()
            maintain()
        }
        events?.available()
        idle.schedule()
    }

    // MARK: Inside

    private var live: [Lane] { lanes.live }

    /// Starts the lanes that are missing to the minimum, all at once: no job waits for them. At the start of the service it
    /// starts at least one, to find out whether lanes can be started.
    private func maintain() {
        guard !isClosed, events != nil else { return }
        let wanted = max(settings.minimum, health.hasComeUp ? 0 : 1)
        // Lanes that get no more jobs do not count; they go when they are done.
        while live.count(where: { !$0.mustRetire }) < wanted, live.count < max(1, settings.maximum),
            startOne()
        {}
        while live.count > settings.maximum, let lane = lanes.oldestIdle { lane.retire() }
        idle.schedule()
    }

    private func startOne(for affinity: Lane.Affinity? = nil) -> Bool {
        guard !health.isPausing, !isStopping else { return false }
        do {
            let transport = try makeTransport()
            transport.onUnread = onUnread
            let lane = Lane(
                transport, clock: clock, onReport: { [weak self] lane, report in self?.heard(lane, report) },
                onExit: { [weak self] lane, exit in self?.ended(lane, exit) })
            lane.affinity = affinity
            lanes.insert(lane)
            starts += 1
            loop.after(Self.startTime) { [weak lane] in
                guard let lane, lane.activity == .starting else { return }
                lane.fault = "it was not ready after \(Self.startTime)"
                lane.kill()
            }
            return true
        } catch {
            failedToStart("\(executable): \(error)", isShortage: LaneExit.shortages.contains(error))
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
            planner.isReady(lane)
            if let nursery = lane.nursery { onFate?(nursery, .ready) }
            lane.activity = .idle
            log.laneStarted(lane.processID)
            if !confinement.isSuperset(of: .full) { isLessConfined(confinement) }
            if let news = health.succeeds(census, minimum: settings.minimum) { tell(news) }
            if lane.mustRetire {
                lane.retire()
                maintain()
            }
            idle.schedule()
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
        lanes.remove(lane)
        if isClosed, lanes.isEmpty { complete() }
        guard !isClosed else { return }
        if let nursery = lane.nursery { learn(from: lane, of: nursery, exit) }
        guard !lane.isRetired else { return }
        if let error = lane.startError {
            // There never was a process. Several that were asked for together fail together, and the last one decides.
            if !health.isPausing || census.starting == 0 {
                failedToStart("\(executable): \(error)", isShortage: LaneExit.shortages.contains(error))
            }
            return
        }
        deaths += 1
        if lane.activity == .starting {
            failedToStart(
                lane.fault ?? "it ended with \(exit) before it was ready",
                isShortage: exit == .exited(LaneExit.shortage))
        }
        events?.died(lane, exit)
        maintain()
        events?.available()
    }

    private func learn(from lane: Lane, of nursery: Int, _ exit: ProcessExit) {
        if lane.activity == .starting {
            // Neither a shortage nor a SIGKILL from elsewhere says something about the nursery.
            let isInnocent =
                exit == .exited(LaneExit.shortage) || exit == .signalled(SIGKILL) && lane.fault == nil
            if !lane.isRetired, !isInnocent { onFate?(nursery, .failed) }
        } else if exit.isCrash {
            onFate?(nursery, .crashed)
        }
        if exit.isCrash { retireSiblings(of: nursery) }
    }

    /// A lane of this nursery has crashed. Its siblings have the same memory layout, which the crash may have shown.
    private func retireSiblings(of nursery: Int) {
        for lane in live where lane.nursery == nursery {
            if lane.activity == .idle { lane.retire() } else { lane.mustRetire = true }
        }
        maintain()
        events?.available()
    }

    /// - Parameter isShortage: the failure may pass as soon as another lane has ended.
    private func failedToStart(_ reason: String, isShortage: Bool) {
        log.laneCannotStart(reason)
        // A lane that an attacker has taken over may hold the threads that the others need.
        if isShortage { for lane in lanes.all { lane.killIfCrowded() } }
        let (news, wait) = health.fails(reason, isShortage: isShortage, census)
        news.forEach(tell)
        guard let wait, !isClosed else { return }
        pause = loop.after(wait) { [weak self] in
            guard let self else { return }
            health.pauseEnds()
            maintain()
            events?.available()
            if health.mustTry(census), live.count < max(1, settings.maximum) { _ = startOne() }
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

    /// Idle lanes above the minimum. Used lanes are retired below the minimum as well, because fresh ones can serve any user.
    private func isSurplus(_ lane: Lane) -> Bool {
        lane.affinity != nil || live.count > settings.minimum
    }
}
