internal import EventLoop
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// Brings jobs and lanes together: first in, first out, and sees every job to its end.
///
/// The rules of a job's life are `JobStateMachine`'s; this carries out what it says. Belongs to the loop's thread.
final class Scheduler {
    /// A job is in another state, or has ended.
    var onChange: (JobRecord) -> Void = { _ in }
    /// The first lanes are warm.
    var onWarm: () -> Void = {}

    private(set) var jobs = JobTable()
    private(set) var totals = Ingest.JobCounts()
    let pool: LanePool
    let pipes: PipeAccount

    private let loop: EventLoop
    private let log: ServiceLog
    private var settings: Settings
    /// Waiting jobs, the oldest first; ended ones among them are passed over.
    private var queue = FIFO<JobRecord>()
    /// Ended jobs among them.
    private var endedInQueue = 0
    private var isDispatching = false
    private var nextSerial = 1
    /// Bytes delivered by jobs that have ended.
    private var deliveredByEnded = 0

    init(loop: EventLoop, pool: LanePool, pipes: PipeAccount, settings: Settings, log: ServiceLog) {
        self.loop = loop
        self.pool = pool
        self.pipes = pipes
        self.settings = settings
        self.log = log
    }

    func start() {
        pool.start(
            LanePool.Events(
                available: { [unowned self] in dispatch() },
                report: { [unowned self] lane, report in heard(lane, report) },
                died: { [unowned self] lane, exit in died(lane, exit) },
                unavailable: { [unowned self] reason in failQueued(reason) },
                warm: { [unowned self] in onWarm() }))
    }

    func apply(_ settings: Settings) {
        self.settings = settings
        pipes.apply(settings)
        pool.settings = settings.lanes
    }

    // MARK: Jobs come

    /// Knows a job from now on; `enqueue` lets it run.
    func register(_ job: JobRecord) {
        jobs.insert(job)
        log.queued(job)
    }

    /// Puts a job at the end of the queue, with the place its body goes to.
    func enqueue(_ job: JobRecord, sink: consuming OwnedDescriptor, isPipe: Bool) {
        guard job.machine.outcome == nil else { return }
        job.sinkIsPipe = isPipe
        if isPipe { pipes.add(sink, to: job) }
        job.sinkWatch = try? loop.watch(sink, for: []) { [weak self, weak job] _ in
            guard let self, let job else { return }
            end(job, Outcome(.consumerGone, "the consumer closed its end of the pipe"))
        }
        job.sink = consume sink
        if let limit = job.request.timeouts.deadline {
            job.deadline = loop.after(.seconds(limit)) { [weak self, weak job] in
                guard let self, let job else { return }
                end(job, Outcome(.deadlineExceeded, "it was not done after \(limit) s"))
            }
        }
        queue.append(job)
        job.isInQueue = true
        dispatch()
        if job.machine.publicState == .queued { onChange(job) }
    }

    /// Ends a job, in whatever state it is.
    func end(_ job: JobRecord, _ outcome: Outcome) {
        perform(job.machine.endRequested(outcome), job)
    }

    /// Ends all jobs.
    func endAll(_ outcome: Outcome) {
        for job in jobs.allActive { end(job, outcome) }
    }

    /// Everybody's jobs, and those that have ended since the start.
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

    /// Bytes that reached consumers, of running jobs too.
    var bytesDelivered: Int {
        jobs.allActive.reduce(deliveredByEnded) { $0.addingSaturated($1.progress()?.delivered ?? 0) }
    }

    // MARK: Jobs run

    private func dispatch() {
        // Taking a lane can make another one available, which comes back here.
        guard !isDispatching else { return }
        isDispatching = true
        defer { isDispatching = false }
        while let job = queue.first {
            if job.machine.outcome != nil {
                queue.removeFirst()
                endedInQueue -= 1
                continue
            }
            guard
                let lane = pool.take(
                    userID: job.owner.userID, origin: job.request.url.origin,
                    waiting: queue.count - endedInQueue)
            else { return }
            queue.removeFirst()
            job.isInQueue = false
            run(job, in: lane)
        }
    }

    private func run(_ job: JobRecord, in lane: LaneProcess) {
        job.sinkWatch?.cancel()
        job.sinkWatch = nil
        do {
            let page = try SharedCounters.makeFile(name: "sluice-ledger")
            let ledger = Ledger(new: try SharedCounters(mapping: page))
            let staging = try pipes.makeStaging(for: job)
            guard let sink = job.sink.take() else { return }
            job.serial = nextSerial
            nextSerial += 1
            job.account = LedgerReader(ledger)
            job.lane = lane
            job.attempts += 1
            if job.startedUsec == nil { job.startedUsec = Realtime.microseconds() }
            lane.send(
                .order(
                    LaneOrder(
                        serial: job.serial, request: job.request, gate: settings.gate,
                        parking: settings.parking)),
                descriptors: [sink.rawValue, page.rawValue, staging.rawValue])
            job.sink = consume sink
            job.staging = consume staging
            running[ObjectIdentifier(lane)] = job
            perform(job.machine.dispatched(), job)
            log.dispatched(job)
        } catch {
            pool.giveBack(lane)
            end(
                job,
                Outcome(.laneUnavailable, "the service lacks what the job needs: \(error)"))
        }
    }

    /// So often a job is given to another lane after its order was lost.
    private static let ordersToLose = 5

    /// Jobs by the lanes that have their orders, until the lane says that it is idle.
    private var running: [ObjectIdentifier: JobRecord] = [:]

    private func heard(_ lane: LaneProcess, _ report: LaneReport) {
        guard let job = running[ObjectIdentifier(lane)] else { return }
        switch report {
        case .ready:
            break
        case .responded(job.serial, let facts):
            job.httpStatus = facts.status
            job.contentLength = facts.representation.length
            log.responded(job)
            perform(job.machine.entered(.streaming), job)
        case .stalled(job.serial):
            if case .report = job.machine.entered(.stalled) {
                log.stalled(job)
                onChange(job)
            }
        case .flowing(job.serial):
            if case .report = job.machine.entered(.streaming) {
                log.resumed(job)
                onChange(job)
            }
        case .keepsUp(job.serial):
            if pipes.grow(job) { lane.send(.pipesGrown(serial: job.serial)) }
        case .ended(job.serial, let facts):
            job.httpStatus = facts.status ?? job.httpStatus
            // The lane has still to let go of the transfer: it gets so long for it.
            watchEnd(of: job, in: lane)
            perform(job.machine.laneEnded(.finish(facts.outcome)), job)
        case .idle:
            guard job.machine.outcome != nil else {
                // It says that it is done and has not said how: not a lane to believe. Its death ends the job.
                return lane.kill()
            }
            running[ObjectIdentifier(lane)] = nil
            job.endDeadline?.cancel()
            pool.giveBack(lane)
        case .responded, .stalled, .flowing, .held, .released, .keepsUp, .ended:
            // About a job that this lane had before.
            break
        }
    }

    private func died(_ lane: LaneProcess, _ exit: ProcessExit) {
        guard let job = running.removeValue(forKey: ObjectIdentifier(lane)) else { return }
        job.endDeadline?.cancel()
        if let account = job.account, !account.isTaken, job.attempts < Self.ordersToLose {
            return giveAgain(job)
        }
        let host = job.request.url.origin.host
        perform(
            job.machine.laneDied(
                .finish(Outcome(.laneDied, "the process that talked to \(host) died (\(exit))"))), job)
    }

    /// The lane was dead before it had the order, so the job has nothing to do with its death.
    private func giveAgain(_ job: JobRecord) {
        pipes.dropStaging(of: job)
        job.account = nil
        job.lane = nil
        let action = job.machine.orderWasLost()
        if action == .report {
            queue.prepend(job)
            job.isInQueue = true
        }
        perform(action, job)
    }

    private func watchEnd(of job: JobRecord, in lane: LaneProcess) {
        job.endDeadline?.cancel()
        job.endDeadline = loop.after(.seconds(settings.lanes.endSeconds)) { [weak self, weak lane] in
            guard let self, let lane else { return }
            log.laneReplaced(lane.processID)
            lane.kill()
        }
    }

    // MARK: Jobs end

    private func perform(_ action: JobStateMachine.Action, _ job: JobRecord) {
        switch action {
        case .none, .enqueue, .park, .pause:
            break
        case .report:
            onChange(job)
        case .endTransfer:
            guard let lane = job.lane else { return }
            lane.send(.end(serial: job.serial))
            watchEnd(of: job, in: lane)
        case .finish(let outcome):
            finish(job, outcome)
        }
    }

    private func finish(_ job: JobRecord, _ outcome: Outcome) {
        let settled = job.settle(outcome)
        if settled != outcome { job.machine.becameUncertain(settled) }
        pipes.release(job)
        deliveredByEnded = deliveredByEnded.addingSaturated(job.settlement?.delivered ?? 0)
        switch settled.code.state {
        case .complete: totals.complete += 1
        case .cancelled: totals.cancelled += 1
        default: totals.failed += 1
        }
        jobs.ended(job, remember: settings.limits.rememberedJobsPerUser)
        log.finished(job, settled)
        if job.isInQueue { forgetEndedInQueue() }
        onChange(job)
    }

    /// Ended jobs must not pile up behind one that waits.
    private func forgetEndedInQueue() {
        endedInQueue += 1
        guard endedInQueue > 64, endedInQueue > queue.count / 2 else { return }
        queue.removeAll { $0.machine.outcome != nil }
        endedInQueue = 0
    }

    private func failQueued(_ reason: String) {
        let waiting = queue
        queue = FIFO()
        endedInQueue = 0
        for job in waiting where job.machine.outcome == nil {
            job.isInQueue = false
            end(job, Outcome(.laneUnavailable, reason))
        }
    }
}

/// A queue whose first element goes at constant cost.
struct FIFO<Element>: Sequence {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var first: Element? { head < elements.count ? elements[head] : nil }

    func makeIterator() -> some IteratorProtocol<Element> {
        elements[head...].lazy.compactMap { $0 }.makeIterator()
    }

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// For what comes back: at linear cost, and rare.
    mutating func prepend(_ element: Element) {
        elements.replaceSubrange(..<head, with: [element])
        head = 0
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        elements = elements[head...].filter { $0.map { !isUnwanted($0) } ?? false }
        head = 0
    }

    mutating func removeFirst() {
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: elements.capacity < 1024)
            head = 0
        } else if head > 1024 {
            elements.removeFirst(head)
            head = 0
        }
    }
}

extension Int {
    /// The sum, or the largest number there is: what lanes claim must not stop the service.
    func addingSaturated(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
