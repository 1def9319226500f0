internal import CUnix
public import EventLoop
public import Logging
public import SluiceCore
internal import SluiceInterface
internal import SystemPackage
public import Systemd
public import Unix
internal import Varlink

/// How the daemon was started, as far as the settings do not say it.
public struct DaemonConfiguration: Sendable {
    /// The lane's executable.
    public var laneExecutable: String
    /// The environment of the lanes, as `NAME=value` strings.
    public var laneEnvironment: [String]
    /// The socket that the daemon listens on, as the log and the clients name it.
    public var socketName: String
    /// Whether to talk to the service manager.
    public var notifies: Bool
    /// The directory for state that must outlive the service; nil for none.
    public var stateDirectory: String?
    /// The directory in which the service manager has put credentials; nil for none.
    public var credentialsDirectory: String?

    /// A configuration.
    public init(
        laneExecutable: String, laneEnvironment: [String], socketName: String, notifies: Bool,
        stateDirectory: String? = nil, credentialsDirectory: String? = nil
    ) {
        self.laneExecutable = laneExecutable
        self.laneEnvironment = laneEnvironment
        self.socketName = socketName
        self.notifies = notifies
        self.stateDirectory = stateDirectory
        self.credentialsDirectory = credentialsDirectory
    }
}

/// What becomes of the jobs when the daemon stops.
public enum StopPlan: Sendable, Equatable {
    /// Another process of the service follows. The jobs are left to it in the service manager's store.
    case handOver
    /// The jobs may go on for a while. Those that have not ended by then fail.
    case drain
    /// The jobs may go on for a while. Those that have not ended by then are kept in the store, in case the service
    /// starts again.
    case drainAndHandOver
    /// The jobs fail at once, because no client is left for which they could go on.
    case endNow
}

/// The service: clients on one side, lanes on the other, jobs in between.
///
/// ## Concurrency model
/// An actor whose executor is an event loop, so all of it runs on the one thread that is in `EventLoop.run`. Sockets,
/// lanes and timers call back on that thread. Body bytes never come here: they go from the lanes to the consumers.
public actor IngestDaemon {
    /// How long running jobs have to end when the service stops, before their lanes are killed.
    private static let stopTime = Duration.seconds(3)

    /// The loop's thread runs everything here.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private nonisolated let loop: EventLoop
    private let configuration: DaemonConfiguration
    private let log: ServiceLog
    private let notifier: Notifier
    private let startedUsec = Realtime.microseconds()
    private let descriptors = DescriptorBudget.current
    private var settings: Settings
    /// The client certificates that the settings name.
    private var clientCertificates: ClientCertificates
    /// The settings at the start. Those of them that take effect only at a start stay in force until the end.
    private let settingsAtStart: Settings
    private var parts: Parts?
    private var isStopping = false

    private struct Parts {
        let service: VarlinkService
        let nursery: Nursery
        let scheduler: Scheduler
        let subscriptions: Subscriptions
        let api: IngestAPI
        let status: StatusReporter
    }

    /// Makes a daemon that does nothing yet.
    ///
    /// - Parameter loop: an event loop that runs, or will run, on a thread of the daemon's own.
    /// - Throws: `SettingsFileError` if the settings name credentials that are missing.
    public init(
        loop: EventLoop, configuration: DaemonConfiguration, settings: Settings, logger: Logger
    ) throws(SettingsFileError) {
        clientCertificates = try ClientCertificates(
            settings.origins, in: configuration.credentialsDirectory)
        self.loop = loop
        self.configuration = configuration
        self.settings = settings
        settingsAtStart = settings
        log = ServiceLog(logger)
        notifier = Notifier(isEnabled: configuration.notifies)
    }

    /// Listens, warms the first lanes, and tells the service manager when both are done.
    ///
    /// - Parameters:
    ///   - listeners: listening stream sockets, at least one.
    ///   - areOwn: no other process has the listeners.
    ///   - stored: what an earlier process of the service left in the service manager's store. The jobs in it go on.
    ///   - whenReady: called once, on the loop's thread, unless `whenUnable` is called.
    ///   - whenUnable: called once, on the loop's thread, with the reason, if no lane can be started. The service would
    ///     only fail all jobs, so the caller must stop it and hand its jobs over.
    /// - Throws: `Errno` if a socket cannot be watched.
    public func start(
        listeners: consuming ListenerList, areOwn: Bool, stored: consuming StoredDescriptors,
        whenReady: @escaping @Sendable () -> Void, whenUnable: @escaping @Sendable (String) -> Void
    ) throws {
        let nursery = Nursery(loop: loop, log: log) { [configuration] in
            LaneImage(of: configuration.laneExecutable)
        } makeProcess: { [loop, configuration, log] () throws(Errno) in
            try NurseryProcess(
                executable: configuration.laneExecutable, environment: configuration.laneEnvironment,
                loop: loop, log: log)
        }
        let hasNursery =
            switch settings.lanes.nursery {
            // A private service needs a lane or two.
            case .automatic: configuration.notifies
            case .always: true
            case .never: false
            }
        // The lanes that the nursery forks become children of this process.
        if hasNursery, (try? SpawnedProcess.adoptOrphans()) != nil { nursery.start() }
        let program = LaneProcess.Program(
            executable: configuration.laneExecutable, environment: configuration.laneEnvironment,
            nursery: nursery)
        let pool = LanePool(
            loop: loop, executable: configuration.laneExecutable, settings: settings.lanes, log: log
        ) { [loop, log] () throws(Errno) in
            try LaneProcess(program, loop: loop, log: log)
        }
        let outcomes = configuration.stateDirectory.map { directory in
            OutcomeFile(directory: directory, limit: settings.limits.rememberedJobsPerUser)
        }
        let store = JobStore(
            loop: loop, keeper: notifier, isEnabled: configuration.notifies && Notifier.isUnderSystemd,
            outcomes: outcomes, settings: settings, log: log)
        let pipes = PipeRegister(settings: settings, log: log, later: { [loop] in _ = loop.after($0, $1) })
        let scheduler = Scheduler(
            loop: loop, pool: pool, pipes: pipes, store: store, settings: settings, log: log)
        scheduler.clientCertificates = clientCertificates
        let subscriptions = Subscriptions(
            loop: loop, active: { scheduler.jobs.active(visibleTo: $0) },
            activeCount: { scheduler.jobs.activeCount },
            find: { scheduler.jobs.findActive($0) })
        let service = VarlinkService(
            loop: loop,
            info: ServiceInfo(
                vendor: "Sluice", product: "sluiced", version: SluiceVersion.current,
                url: "https://github.com/sluice/sluice"),
            limits: varlinkLimits())
        service.onClientDropped = { [log] peer, reason in
            scheduler.metrics.dropped(reason)
            log.clientRefused(userID: peer.userID, "\(reason)")
        }
        service.onHandlerFailure = { [log] method, error in
            log.methodFailed(method, error)
        }
        service.onAcceptFailure = { [log] errno in
            log.trouble(.acceptFailed, "no connection can be accepted", "\(errno)")
        }
        service.onMemoryFreed = { cunix_give_memory_back() }
        let disposal = SocketDisposal(
            loop: loop, executable: configuration.laneExecutable,
            environment: configuration.laneEnvironment, descriptors: descriptors.limit, log: log)
        service.admission = { peer, decide in
            // Operators are always admitted, so they need not wait for a lookup in the user directory.
            if UserPolicy.isOperator(peer.userID) { return decide(nil) }
            scheduler.users.whenKnown(peer.userID) {
                let isAllowed = scheduler.users.share(for: peer.userID).isAllowed
                decide(isAllowed ? nil : IngestError.notAllowed(peer.userID).reply)
            }
        }
        // A user's rights may have changed, in the settings or in the user directory.
        scheduler.users.onUserKnown = { [weak service, weak subscriptions] user in
            guard let service, let subscriptions else { return }
            Self.expel(user, scheduler, subscriptions, service)
            scheduler.userIsKnown()
        }
        service.onUnreadSocket = { disposal.take($0) }
        service.mayAccept = { disposal.hasRoom }
        pool.onUnread = { disposal.take($0) }
        pool.onFate = { nursery.lane(of: $0, is: $1) }
        scheduler.onForeignSocket = { [unowned service] in service.letGo(of: $0) }
        let api = IngestAPI(
            scheduler: scheduler, subscriptions: subscriptions, descriptors: descriptors, settings: settings,
            log: log)
        try api.register(
            with: service, status: { self.statusReply() }, metrics: { self.metricsReply(byName: $0) })
        let status = StatusReporter(
            loop: loop, notifier: notifier,
            line: { scheduler.statusLine },
            isBusy: { scheduler.counts.streaming > 0 })
        scheduler.onChange = { job in
            subscriptions.changed(job)
            status.update()
        }
        loop.onTurn = { [weak scheduler] in scheduler?.metrics.loopTurn.record($0 / .seconds(1)) }
        scheduler.onDrainChange = { [log] in
            log.draining(scheduler.isDraining, active: scheduler.jobs.activeCount)
            status.update()
        }
        scheduler.onWarm = { [log, notifier, name = configuration.socketName] in
            _ = notifier.ready(status: scheduler.statusLine)
            log.ready(socket: name, version: SluiceVersion.current)
            status.startWatchdog()
            whenReady()
        }
        scheduler.onNeverWarm = { [log] reason in
            log.cannotStart(reason)
            whenUnable(reason)
        }
        parts = Parts(
            service: service, nursery: nursery, scheduler: scheduler, subscriptions: subscriptions, api: api,
            status: status)
        if configuration.notifies { sayWhatIsMissing() }
        if let contents = outcomes?.load() {
            log.outcomesRead(contents)
            for job in contents.jobs { scheduler.remember(job) }
        }
        Restoration(scheduler: scheduler, store: store, log: log).run(stored)
        while let listener = listeners.takeFirst() { try service.listen(on: listener, isOwn: areOwn) }
        scheduler.start()
    }

    /// Reads the settings again and applies them. The log names the settings that need a restart. If the new settings
    /// are rejected, the log says so and the old ones stay in force.
    ///
    /// - Parameter read: reads the settings; returns nil if there is no file to read.
    public func reload(_ read: () throws(SettingsFileError) -> Settings?) {
        guard let parts, !isStopping else { return }
        _ = notifier.reloading()
        // READY=1 tells the service manager that the reload has ended, whether it succeeded or not (sd_notify(3)).
        defer { _ = notifier.ready() }
        do {
            let new = try read()
            if let new {
                parts.scheduler.clientCertificates = try ClientCertificates(
                    new.origins, in: configuration.credentialsDirectory)
            }
            parts.scheduler.metrics.areSettingsGood = true
            guard let new else { return log.reloaded(needingRestart: []) }
            let unchangeable = settingsAtStart.needingRestart(comparedTo: new)
            settings = new
            // What it has loaded may be old: certificates, the configuration of OpenSSL, the libraries.
            parts.nursery.replace()
            parts.scheduler.apply(new)
            parts.api.settings = new
            expelWhoMayNot()
            if !descriptors.covers(new) { log.descriptorsShort(descriptors.limit) }
            log.reloaded(needingRestart: unchangeable)
        } catch {
            parts.scheduler.metrics.areSettingsGood = false
            log.rejected(error.description)
        }
    }

    private func expelWhoMayNot() {
        guard let parts else { return }
        let (scheduler, subscriptions, service) = (parts.scheduler, parts.subscriptions, parts.service)
        for user in Set(service.users).union(scheduler.jobs.owners) {
            scheduler.users.whenKnown(user) { [weak service] in
                if let service { Self.expel(user, scheduler, subscriptions, service) }
            }
        }
    }

    /// Ends the jobs and connections of a user who may not use the service.
    private static func expel(
        _ user: UInt32, _ scheduler: Scheduler, _ subscriptions: Subscriptions, _ service: VarlinkService
    ) {
        guard scheduler.users.isDenied(user) else { return }
        scheduler.endJobs(ofUser: user)
        subscriptions.endWatches(of: user, IngestError.notAllowed(user))
        service.expel(user, with: IngestError.notAllowed(user).reply)
    }

    /// Stops the service: it accepts no more jobs, ends its jobs or leaves them to a successor, and ends the lanes.
    ///
    /// - Parameter completion: called on the loop's thread when all of that is done.
    public func stop(_ plan: StopPlan, _ completion: @escaping @Sendable () -> Void) {
        guard let parts, !isStopping else { return completion() }
        isStopping = true
        let active = parts.scheduler.jobs.activeCount
        _ = notifier.stopping(status: "stopping: \(active) jobs to end")
        log.stopping(active: active)
        parts.status.close()
        parts.api.isStopping = true
        switch plan {
        case .handOver:
            handOver(completion)
        case .drain:
            drain { self.endJobs(completion) }
        case .drainAndHandOver:
            drain { self.handOver(completion) }
        case .endNow:
            endJobs(completion)
        }
    }

    /// Lets the jobs go on until none is left or the time for draining is over.
    private func drain(_ next: @escaping () -> Void) {
        guard let parts else { return }
        let time = Duration.seconds(settings.restart.drainSeconds)
        _ = notifier.extendTimeout(by: time + Self.stopTime * 2 + .seconds(settings.lanes.endSeconds + 1))
        var isDone = false
        let finish = {
            guard !isDone else { return }
            isDone = true
            next()
        }
        parts.scheduler.onChange = { job in
            parts.subscriptions.changed(job)
            if parts.scheduler.jobs.activeCount == 0 { finish() }
        }
        if parts.scheduler.jobs.activeCount == 0 { return finish() }
        loop.after(time, finish)
    }

    /// Leaves the jobs to the next process of the service.
    private func handOver(_ completion: @escaping @Sendable () -> Void) {
        guard let parts else { return completion() }
        let jobs = parts.scheduler.jobs.allActive.sorted { $0.number.sequence < $1.number.sequence }
        parts.scheduler.store.storeAll(jobs) {
            self.log.handedOver(parts.scheduler.jobs.activeCount)
            self.close(completion, answering: false)
        }
    }

    private func endJobs(_ completion: @escaping @Sendable () -> Void) {
        guard let parts else { return completion() }
        parts.scheduler.onChange = { job in
            parts.subscriptions.changed(job)
            self.closeIfDone(completion)
        }
        parts.scheduler.pool.stopStarting()
        parts.scheduler.endAll(Outcome(.serviceStopped, "the service stopped"))
        closeIfDone(completion)
        let time = max(Self.stopTime, .seconds(settings.lanes.endSeconds + 1))
        loop.after(time) { self.close(completion) }
    }

    private func closeIfDone(_ completion: @escaping @Sendable () -> Void) {
        if parts?.scheduler.jobs.activeCount == 0 { close(completion) }
    }

    /// - Parameter answers: clients that wait for a job are told that the service stops. False if another process
    ///   follows: then the connection just ends, and the client asks again.
    private func close(_ completion: @escaping @Sendable () -> Void, answering answers: Bool = true) {
        guard let parts else { return }
        self.parts = nil
        // Whatever happens to jobs from here on belongs to the end of this process, and must not be stored as their
        // end.
        parts.scheduler.store.close()
        if answers { parts.subscriptions.close(IngestError.stopping) }
        parts.scheduler.pool.close()
        // The service and all that its callbacks need live until the last reply is out. If no client is answered, there
        // is no reply to wait for.
        parts.service.close(within: answers ? nil : .milliseconds(10)) {
            parts.scheduler.pool.whenEmpty { parts.nursery.close { withExtendedLifetime(parts, completion) } }
        }
    }

    private func sayWhatIsMissing() {
        if !descriptors.covers(settings) { log.descriptorsShort(descriptors.limit) }
        if configuration.stateDirectory == nil, Notifier.isUnderSystemd { log.noStateDirectory() }
    }

    private func varlinkLimits() -> VarlinkLimits {
        var limits = VarlinkLimits()
        limits.maximumConnections = descriptors.connections(settings)
        limits.maximumConnectionsPerUser = descriptors.connectionsPerUser(settings)
        limits.maximumRefused = min(64, max(8, descriptors.limit / 16))
        limits.maximumMessageSize = 256 << 10
        limits.maximumValuesPerMessage = 1024
        limits.maximumUnreadReplyBytes = 16 << 20
        limits.reservedConnections = descriptors.hasReserve ? DescriptorBudget.reservedConnections : 0
        // No method takes a descriptor.
        limits.maximumDescriptorsPerMessage = 0
        limits.overloadError = IngestError.tooManyConnections(limit: limits.maximumConnections)
        limits.userOverloadError = IngestError.tooManyConnections(limit: limits.maximumConnectionsPerUser)
        return limits
    }

    private func statusReply() -> Ingest.StatusReply {
        // Cannot happen: `close` drops the parts and closes the service in one turn of the loop, and a closed service
        // reads no more calls.
        guard let parts else {
            preconditionFailure("the service answers only while it has its parts")
        }
        let pipes = parts.scheduler.pipes
        pipes.measure(parts.scheduler.jobs.allActive)
        let counts = parts.scheduler.counts
        let delivered = parts.scheduler.numbers.delivered
        return Ingest.StatusReply(
            version: SluiceVersion.current, processID: Int(ProcessIdentity.current), startedUsec: startedUsec,
            status: parts.scheduler.statusLine, jobs: counts,
            lanes: parts.scheduler.pool.counts, bytesDelivered: delivered,
            pipeBytes: pipes.budget.used + pipes.budget.kept, pipeBudget: pipes.budget.limit,
            connections: parts.service.connectionCount)
    }

    private func metricsReply(byName: Bool) -> Ingest.MetricsReply {
        // Cannot happen, as in `statusReply`.
        guard let parts else {
            preconditionFailure("the service answers only while it has its parts")
        }
        let report = MetricsReport(
            statusReply(), scheduler: parts.scheduler, settings: settings,
            connectionsLimit: parts.service.limits.maximumConnections, log: log,
            byName: byName)
        return Ingest.MetricsReply(metrics: report.metrics)
    }
}

/// Listening sockets on their way to the daemon. (It cannot be an array, because its elements are noncopyable.)
public struct ListenerList: ~Copyable, Sendable {
    private var raw: [CInt] = []

    /// No sockets.
    public init() {}

    deinit {
        for descriptor in raw { _ = OwnedDescriptor(adopting: descriptor) }
    }

    /// The number of sockets.
    public var count: Int { raw.count }

    /// Adds a socket.
    public mutating func append(_ listener: consuming OwnedDescriptor) {
        raw.append(listener.release())
    }

    /// Removes and returns the first socket; nil if none is left.
    public mutating func takeFirst() -> OwnedDescriptor? {
        raw.isEmpty ? nil : OwnedDescriptor(adopting: raw.removeFirst())
    }
}
