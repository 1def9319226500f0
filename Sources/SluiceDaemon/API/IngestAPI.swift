internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix
internal import Varlink

/// The methods of `io.sluice.Ingest`. Each decodes its parameters, asks the scheduler and encodes the reply. Belongs to
/// the loop's thread.
final class IngestAPI {
    /// The service stops: it accepts no more jobs.
    var isStopping = false
    var settings: Settings

    private let scheduler: Scheduler
    private let subscriptions: Subscriptions
    private let descriptors: DescriptorBudget
    private let log: ServiceLog
    private weak var service: VarlinkService?
    private var lastClient: (connection: UInt64, program: String?)?

    init(
        scheduler: Scheduler, subscriptions: Subscriptions, descriptors: DescriptorBudget, settings: Settings,
        log: ServiceLog
    ) {
        self.scheduler = scheduler
        self.subscriptions = subscriptions
        self.descriptors = descriptors
        self.settings = settings
        self.log = log
    }

    /// Offers the interface.
    ///
    /// - Parameters:
    ///   - status: the reply to `Status`.
    ///   - metrics: the reply to `Metrics`, with or without numbers by name.
    func register(
        with service: VarlinkService, status: @escaping () -> Ingest.StatusReply,
        metrics: @escaping (_ byName: Bool) -> Ingest.MetricsReply
    ) throws {
        self.service = service
        try service.add(InterfaceDescription(Ingest.description))
        func handle(_ name: String, _ handler: @escaping (VarlinkCall) throws -> Void) throws {
            try service.handle("\(Ingest.interfaceName).\(name)") { call in
                // The caller of a oneway call gets no reply, and all methods but `Cancel` are of use only for their
                // reply.
                guard !call.isOneway || name == "Cancel" else { return }
                try handler(call)
            }
        }
        try handle("Fetch") { [unowned self] in try fetch($0) }
        try handle("Wait") { [unowned self] call in wait(call, for: try job(call)) }
        try handle("Watch") { [unowned self] in try watch($0) }
        try handle("List") { [unowned self] call in
            let page = scheduler.jobs.page(try selection(call))
            call.reply(Ingest.ListReply(jobs: page.jobs, next: page.next))
        }
        try handle("Show") { [unowned self] call in
            call.reply(Ingest.JobReply(job: try job(call).snapshot()))
        }
        try handle("Cancel") { [unowned self] call in
            let job = try job(call)
            if case .active(let job) = job {
                scheduler.end(job, Outcome(.cancelled, "user \(call.peer.userID) cancelled it"))
            }
            // Look it up again: it may have ended just now.
            wait(call, for: try self.job(call))
        }
        try handle("Drain") { [unowned self] call in
            try requireOperator(call)
            scheduler.isDraining = true
            subscriptions.drain(call)
        }
        try handle("Undrain") { [unowned self] call in
            try requireOperator(call)
            scheduler.isDraining = false
            subscriptions.endDrains()
            call.reply()
        }
        try handle("Status") { $0.reply(status()) }
        try handle("Metrics") { [unowned self] call in
            let byName = try call.parameters(as: Ingest.MetricsParameters.self).byName ?? false
            if byName { try requireOperator(call) }
            call.reply(metrics(byName))
        }
    }

    private func requireOperator(_ call: VarlinkCall) throws(VarlinkServiceError) {
        guard UserPolicy.isOperator(call.peer.userID) else { throw .permissionDenied }
    }

    private func wait(_ call: VarlinkCall, for job: KnownJob) {
        switch job {
        case .active(let job): subscriptions.wait(call, for: job)
        case .ended(let job): call.reply(Ingest.JobReply(job: job))
        }
    }

    private func job(_ call: VarlinkCall) throws -> KnownJob {
        try find(call.parameters(as: Ingest.JobParameters.self).id, call)
    }

    private func selection(_ call: VarlinkCall) throws -> JobSelection {
        let parameters = try call.parameters(as: Ingest.ListParameters.self)
        var selection = JobSelection(asker: call.peer.userID)
        if let id = parameters.userID {
            guard let user = UInt32(exactly: id) else {
                throw VarlinkServiceError.invalidParameter("userID")
            }
            selection.userID = user
        }
        if let limit = parameters.limit {
            guard JobSelection.limits.contains(limit) else {
                throw VarlinkServiceError.invalidParameter("limit")
            }
            selection.limit = limit
        }
        selection.activeOnly = parameters.active ?? false
        selection.states = parameters.states.map(Set.init)
        selection.after = parameters.after ?? -1
        return selection
    }

    /// Finds a job that the client may see. The error for a job of another user is the same as for one that does not
    /// exist.
    private func find(_ id: String, _ call: VarlinkCall) throws(IngestError) -> KnownJob {
        guard let job = scheduler.jobs.find(id, for: call.peer.userID) else {
            // The error repeats what the client sent, cut to the length that an ID may have.
            throw .noSuchJob(String(decoding: id.utf8.prefix(64), as: UTF8.self))
        }
        return job
    }

    private func watch(_ call: VarlinkCall) throws {
        try call.requireMore()
        let parameters = try call.parameters(as: Ingest.WatchParameters.self)
        let seconds = parameters.intervalSeconds ?? 1
        guard (0.1...3600).contains(seconds) else {
            throw VarlinkServiceError.invalidParameter("intervalSeconds")
        }
        var job: JobRecord?
        switch try parameters.id.map({ try find($0, call) }) {
        case .ended(let ended)?: return call.reply(Ingest.JobReply(job: ended))
        case .active(let active)?: job = active
        case nil: break
        }
        guard subscriptions.watcherCount(of: call.peer.userID) < Subscriptions.watchersPerUser else {
            let error = IngestError.tooManyWatchers(Subscriptions.watchersPerUser)
            scheduler.metrics.refused(error)
            throw error
        }
        subscriptions.watch(call, job, interval: .seconds(seconds))
    }

    private func fetch(_ call: VarlinkCall) throws {
        let parameters = try call.parameters(as: Ingest.FetchParameters.self)
        // A user who was admitted without a lookup is looked up now.
        scheduler.users.whenKnown(call.peer.userID) { [weak self] in
            // The client may have gone meanwhile.
            guard !call.isFinished else { return }
            do {
                try self?.fetch(call, parameters)
            } catch let error as IngestError {
                call.fail(error)
            } catch {
                self?.log.methodFailed("Fetch", error)
                call.fail(IngestError.resourcesExhausted("a fault of the service"))
            }
        }
    }

    private func fetch(_ call: VarlinkCall, _ parameters: Ingest.FetchParameters) throws {
        do {
            let share = scheduler.users.share(for: call.peer.userID)
            try admit(call.peer, share)
            let request: JobRequest
            do {
                request = try JobRequest(parameters, settings: settings, maximumSize: share.maximumSize)
            } catch {
                throw IngestError.invalidRequest(error)
            }
            let job = JobRecord(
                id: scheduler.jobs.newID(), request: request, owner: call.peer, program: program(call))
            if call.wantsUpgrade {
                upgrade(call, job)
            } else {
                try pass(call, job)
            }
        } catch let error as IngestError {
            scheduler.metrics.refused(error)
            log.clientRefused(userID: call.peer.userID, "\(error.errorName): \(describe(error))")
            throw error
        }
    }

    /// The client's program, looked up once for consecutive jobs of one connection.
    private func program(_ call: VarlinkCall) -> String? {
        if let last = lastClient, last.connection == call.connectionNumber { return last.program }
        let program = ClientProgram.find(call.peer)
        lastClient = (call.connectionNumber, program)
        return program
    }

    private func admit(_ peer: PeerCredentials, _ share: UserShare) throws(IngestError) {
        if isStopping { throw .stopping }
        if scheduler.isDraining { throw .draining }
        guard share.isAllowed else { throw .notAllowed(peer.userID) }
        let jobs = scheduler.jobs
        let reserve = peer.userID == 0 && descriptors.hasReserve ? DescriptorBudget.reservedJobs : 0
        guard jobs.activeCount < settings.limits.jobs + reserve else {
            throw .tooManyJobs(settings.limits.jobs)
        }
        guard jobs.activeCount(of: peer.userID) < share.jobs else { throw .tooManyJobs(share.jobs) }
        guard
            descriptors.covers(
                jobs: jobs.activeCount + 1, lanes: scheduler.pool.count + 1,
                connections: (service?.connectionCount ?? 0) + scheduler.pipes.kept.all.pipes,
                isRoot: peer.userID == 0)
        else {
            throw .resourcesExhausted(
                "it may have \(descriptors.limit) open files (LimitNOFILE=), and needs them for what it has")
        }
        if let reason = scheduler.pipes.refusal(of: peer.userID) { throw .resourcesExhausted(reason) }
        if peer.userID != 0, log.isJournalBehind {
            throw .resourcesExhausted(
                "the journal cannot keep up with the records of who fetches what (systemd-journald.service)")
        }
    }

    /// Starts a job in the usual way: the client gets the pipe's read end.
    private func pass(_ call: VarlinkCall, _ job: JobRecord) throws(IngestError) {
        let pipe: Pipe
        do {
            pipe = try Self.makePipe()
        } catch {
            throw .resourcesExhausted("no pipe can be made: \(error)")
        }
        scheduler.register(job)
        // From here on the client alone has the read end, so that the write end reports when the client closes it.
        let index = call.push(pipe.readEnd)
        call.reply(Ingest.FetchReply(id: job.id, bodyFileDescriptor: index), continues: call.wantsMore)
        if call.wantsMore { subscriptions.wait(call, for: job, isFetch: true) }
        scheduler.enqueue(job, sink: pipe.writeEnd, isPipe: true)
    }

    private static func makePipe() throws(Errno) -> Pipe {
        let pipe = try Pipe()
        // A consumer that runs as another user than the service must be able to open /dev/stdin.
        try pipe.writeEnd.letReadersReopen()
        return pipe
    }

    /// Starts a job of a client that cannot receive descriptors: the connection itself carries the body.
    private func upgrade(_ call: VarlinkCall, _ job: JobRecord) {
        scheduler.register(job)
        call.onDisconnect = { [weak self] in
            self?.scheduler.end(job, Outcome(.consumerGone, "the client closed its connection"))
        }
        call.upgrade(Ingest.FetchReply(id: job.id)) { [unowned self] socket, _ in
            // Bytes that the client sends after its call have no meaning here.
            scheduler.enqueue(job, sink: socket, isPipe: false)
        }
    }

    private func describe(_ error: IngestError) -> String {
        switch error {
        case .invalidRequest(let error): "\(error.parameter): \(error.reason)"
        case .tooManyJobs(let limit), .tooManyWatchers(let limit): "the limit is \(limit)"
        case .resourcesExhausted(let reason): reason
        case .noSuchJob, .notAllowed, .draining, .stopping: "refused"
        }
    }
}
