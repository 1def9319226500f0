internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// Gives jobs to lanes and takes every job to its end.
///
/// `JobStateMachine` and `AttemptRules` decide what happens to a job; this class carries it out. Belongs to the loop's
/// thread.
final class Scheduler {
    /// A job has changed its state, or has ended.
    var onChange: (JobRecord) -> Void = { _ in }
    /// The first lanes are warm.
    var onWarm: () -> Void = {}
    /// No lane can be started, and none ever was.
    var onNeverWarm: (String) -> Void = { _ in }
    /// `isDraining` has changed.
    var onDrainChange: () -> Void = {}
    /// Gets a client's connection that was a job's sink, to close it in the same way as other connections.
    var onForeignSocket: ((consuming OwnedDescriptor) -> Void)?

    var jobs = JobTable()
    var totals = Ingest.JobCounts()
    let pool: LanePool
    let pipes: PipeRegister
    let store: JobStore
    let metrics = ServiceMetrics()

    let loop: EventLoop
    let log: ServiceLog
    var settings: Settings
    var queue = JobQueue()
    /// No new jobs are accepted. Those that are known go on.
    var isDraining = false {
        didSet { if isDraining != oldValue { onDrainChange() } }
    }
    private var hasStarted = false
    private var isDispatching = false
    private var nextSerial = 1
    /// The jobs by the lanes that have their orders, until the lane reports that it is idle.
    var running: [ObjectIdentifier: JobRecord] = [:] {
        didSet { laneWatch.workChanged(isBusy: !running.isEmpty) }
    }
    let laneWatch: LaneWatch
    var clientCertificates = ClientCertificates()
    let users: UserPolicy
    let rates: Rates
    let parking: ParkingLot
    /// Jobs that keep their lanes although their consumers do not read, the oldest first.
    var holding = FIFO<JobRecord>()

    /// The maximum number of users without a lane that are passed over in one dispatch. The cost of finding the next
    /// user grows with the number of users.
    private static let mostPassed = 8

    init(
        loop: EventLoop, pool: LanePool, pipes: PipeRegister, store: JobStore, settings: Settings,
        log: ServiceLog
    ) {
        self.loop = loop
        self.pool = pool
        self.pipes = pipes
        self.store = store
        self.settings = settings
        self.log = log
        users = UserPolicy(loop: loop, settings: settings, log: log)
        rates = Rates(loop: loop, users: users, settings: settings)
        parking = ParkingLot(loop: loop)
        laneWatch = LaneWatch(loop: loop, log: log, seconds: settings.lanes.hangSeconds ?? 0)
        setRules()
    }

    func start() {
        hasStarted = true
        laneWatch.jobs = { [unowned self] in Array(running.values) }
        pool.start(
            LanePool.Events(
                available: { [unowned self] in dispatch() },
                report: { [unowned self] lane, report in heard(lane, report) },
                died: { [unowned self] lane, exit in died(lane, exit) },
                unavailable: { [unowned self] reason, served in failQueued(reason, but: served) },
                warm: { [unowned self] in onWarm() },
                neverWarm: { [unowned self] reason in onNeverWarm(reason) }))
        // Jobs of an earlier process may be in the queue already.
        dispatch()
    }

    func apply(_ settings: Settings) {
        self.settings = settings
        pipes.apply(settings)
        store.apply(settings)
        users.apply(settings)
        rates.apply(settings, running: running.values)
        setRules()
        // Users may have to be looked up now, and hosts may have other limits.
        for job in queue.removeAll(running: running.values) { admit(job) }
        pool.settings = settings.lanes
        laneWatch.seconds = settings.lanes.hangSeconds ?? 0
    }

    // MARK: Jobs come

    /// Adds a job. `enqueue` lets it run.
    func register(_ job: JobRecord) {
        jobs.insert(job)
        metrics.accepted += 1
        log.queued(job)
    }

    /// Remembers a job that ended in an earlier process of the service.
    func remember(_ job: Job) {
        jobs.remember(job, limit: settings.limits.rememberedJobsPerUser)
    }

    /// Puts a job at the end of the queue.
    ///
    /// - Parameter sink: where the job's body goes.
    func enqueue(_ job: JobRecord, sink: consuming OwnedDescriptor, isPipe: Bool) {
        guard job.machine.outcome == nil else {
            if !isPipe { onForeignSocket?(sink) }
            return
        }
        accept(job, sink: sink, isPipe: isPipe)
        if let left = job.secondsLeft { watchDeadline(of: job, max(0, left)) }
        store.follow(job)
        admit(job)
        guard job.machine.publicState == .queued else { return }
        watchSink(of: job)
        onChange(job)
    }

    /// Continues a job that an earlier daemon began. Its position, its account and its state must be set.
    func restore(_ job: JobRecord, sink: consuming OwnedDescriptor) {
        jobs.insert(job)
        metrics.restored(with: job.progress.numbers)
        // Sluice 0.3.0 and older made pipes that only the service's own user can open again.
        try? sink.letReadersReopen()
        accept(job, sink: sink, isPipe: true)
        watchSink(of: job)
        if let account = job.progress.account { pipes.addFolded(account.staging, to: job) }
        log.restored(job)
        if let left = job.secondsLeft { watchDeadline(of: job, max(0, left)) }
        if job.machine.publicState == .parked {
            park(job)
        } else {
            admit(job)
        }
    }

    /// Ends a job that an earlier daemon began and that cannot go on.
    func restoreEnded(_ job: JobRecord, _ outcome: Outcome) {
        jobs.insert(job)
        metrics.restored(with: job.progress.numbers)
        end(job, outcome)
    }

    private func accept(_ job: JobRecord, sink: consuming OwnedDescriptor, isPipe: Bool) {
        if isPipe { pipes.add(sink, to: job) }
        job.sink = JobSink(sink, isPipe: isPipe)
    }

    private func watchDeadline(of job: JobRecord, _ seconds: Double) {
        job.timers.deadline = loop.after(.seconds(seconds)) { [weak self, weak job] in
            guard let self, let job else { return }
            let limit = job.request.timeouts.deadline ?? seconds
            // The last failure says more about the cause than the deadline does.
            let reason = job.attempts.lastFailure.map { "; the last attempt that failed: \($0)" } ?? ""
            end(job, Outcome(.deadlineExceeded, "the job was not complete after \(limit) s\(reason)"))
        }
    }

    /// Watches the job's sink while no lane is at work, because only a lane would notice that the consumer closes it.
    func watchSink(of job: JobRecord) {
        guard let sink = job.sink else { return }
        let isWatched = sink.startWatching(on: loop) { [weak self, weak job] readiness in
            guard let self, let job else { return }
            if readiness.isDisjoint(with: [.failed, .hungUp]) {
                parking.hasRoom(job)
            } else {
                end(job, Outcome(.consumerGone, "the consumer closed its end of the pipe"))
            }
        }
        if isWatched { return }
        // Without the watch, the daemon would not notice that the consumer reads or closes the pipe, and the job might
        // never end. So end it, but on a later turn, because the caller may not have finished with the job yet.
        loop.after(.zero) { [weak self, weak job] in
            guard let self, let job else { return }
            end(job, Outcome(.laneUnavailable, "the service has too many pipes to watch the job's"))
        }
    }

    /// Ends a job in any state.
    func end(_ job: JobRecord, _ outcome: Outcome) {
        perform(job.machine.endRequested(outcome), job)
    }

    /// Ends all jobs.
    func endAll(_ outcome: Outcome) {
        for job in jobs.allActive { end(job, outcome) }
    }

    /// The jobs of all users by state, and those that have ended since the start.
    var counts: Ingest.JobCounts {
        var counts = totals
        for job in jobs.allActive {
            switch job.machine.publicState {
            case .queued: counts.queued += 1
            case .connecting: counts.connecting += 1
            case .streaming: counts.streaming += 1
            case .stalled: counts.stalled += 1
            case .parked: counts.parked += 1
            case .waiting: counts.waiting += 1
            case .complete, .failed, .cancelled: break
            }
        }
        return counts
    }

    /// The sums over all jobs since the service started, including running ones. Costs two system calls for each job
    /// that runs.
    var numbers: JobAccount.Numbers {
        var active = JobAccount.Numbers()
        for job in jobs.allActive { active.add(job.progress.numbers) }
        return metrics.totals(active: active)
    }

    // MARK: Jobs run

    func putIntoQueue(_ job: JobRecord) {
        job.assignment.queuedAt = Monotonic.nanoseconds()
        queue.enter(job)
    }

    func dispatch() {
        // Taking a lane can make another one available, which calls this function again.
        guard hasStarted, !isDispatching else { return }
        isDispatching = true
        defer { isDispatching = false }
        pool.forgetReminder()
        // Users for whom there is no lane just now. Once no lane can be started, the users who follow get only their own
        // idle lanes and unused ones.
        var passed: Set<UInt32> = []
        var (mayStart, asked, starting) = (true, 0, 0)
        while passed.count <= Self.mostPassed, let job = queue.next(but: passed) {
            let need = need(of: job)
            guard mayStart else {
                if let lane = pool.takeWaiting(for: need) {
                    run(job, in: lane)
                } else {
                    passed.insert(need.userID)
                }
                continue
            }
            let waiting = max(1, min(queue.runnable(of: need.userID), queue.runnable - asked))
            switch pool.take(for: need, waiting: waiting, othersWaiting: starting, isFirst: passed.isEmpty) {
            case .lane(let lane):
                run(job, in: lane)
                continue
            case .soon: break
            case .starting: starting += waiting
            case .none: mayStart = false
            }
            asked += waiting
            passed.insert(need.userID)
        }
        // Root may have the lane that is kept for it.
        guard pool.keepsReserve, let job = queue.first(of: 0),
            let lane = pool.takeReserved(for: need(of: job))
        else { return }
        run(job, in: lane)
        // If the job could not be run, its lane is free again. `available` has no effect within this function, so
        // dispatch again.
        loop.after(.zero) { [weak self] in self?.dispatch() }
    }

    private func need(of job: JobRecord) -> LaneRoster.Need {
        LaneRoster.Need(
            userID: job.owner.userID, origin: job.origin, needsKey: clientCertificate(for: job) != nil)
    }

    private func run(_ job: JobRecord, in lane: Lane) {
        queue.begin(job)
        job.sink?.stopWatching()
        do {
            let account = try account(of: job, in: lane)
            let staging = try lane.open(account)
            guard let sink = job.sink else { throw Errno.badFileDescriptor }
            job.assignment.serial = nextSerial
            nextSerial += 1
            job.assignment.lane = lane
            if job.attempts.count > 0 { totals.retried += 1 }
            job.attempts.begin(at: job.progress.position)
            metrics.attempts += 1
            store.changed(job)
            var order = LaneOrder(
                serial: job.assignment.serial, request: job.request, gate: settings.gate,
                parking: settings.parking,
                redirects: settings.redirects, egress: users.egress(for: job.owner.userID),
                position: job.progress.position, known: job.progress.known)
            order.rate = rates.begins(job)
            order.dropsConnections = closeConnections(of: lane, for: job)
            order.clientCertificate = clientCertificate(for: job)
            if order.clientCertificate != nil { lane.certificateHost = job.origin.host }
            if let bytes = job.progress.deliveredBeforePark { order.narrow(to: bytes) }
            lane.give(order, sink: sink, account: account, staging: staging)
            running[ObjectIdentifier(lane)] = job
            job.assignment.orderedAt = Monotonic.nanoseconds()
            metrics.queueWait.record(
                Nanoseconds.seconds(from: job.assignment.queuedAt, to: job.assignment.orderedAt))
            perform(job.machine.dispatched(), job)
            log.dispatched(job)
        } catch {
            queue.isOver(job)
            pool.giveBack(lane, hasWorked: false)
            end(
                job,
                Outcome(.laneUnavailable, "the service lacks a resource that the job needs: \(error)"))
        }
    }

    /// The job's account: the one it has, the one that the lane has kept, or a new one.
    private func account(of job: JobRecord, in lane: Lane) throws(Errno) -> JobAccount {
        if let account = job.progress.account {
            pipes.unfold(account.staging, of: job)
            return account
        }
        let account: JobAccount
        if let kept = lane.account, kept.renew() {
            account = kept
            pipes.add(kept.staging, to: job)
        } else {
            account = try JobAccount(staging: try pipes.makeStaging(for: job))
        }
        job.progress.begin(with: account)
        return account
    }

    private func failQueued(_ reason: String, but served: Set<UInt32>) {
        for job in queue.removeAll(running: running.values) {
            if served.contains(job.owner.userID) {
                queue.enter(job, isBack: true)
            } else {
                end(job, Outcome(.laneUnavailable, reason))
            }
        }
        dispatch()
    }
}
