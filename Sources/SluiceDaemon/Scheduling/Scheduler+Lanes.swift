internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Systemd
internal import Unix

/// What lanes report, and how they die.
extension Scheduler {
    /// How many times a job is given to another lane after its order was lost.
    private static let ordersToLose = 5

    func heard(_ lane: Lane, _ report: LaneReport) {
        guard let job = running[ObjectIdentifier(lane)] else { return }
        switch report {
        case .ready:
            break
        case .responded(job.assignment.serial, let facts):
            guard facts.isPlausible(asked: job.request.url) else { return lane.kill() }
            responded(job, facts)
        case .stalled(job.assignment.serial):
            if case .report = job.machine.entered(.stalled) {
                log.stalled(job)
                onChange(job)
            }
        case .flowing(job.assignment.serial):
            if case .report = job.machine.entered(.streaming) {
                laneWatch.workChanged(isBusy: true)
                log.resumed(job)
                onChange(job)
            }
        case .held(job.assignment.serial):
            holds(job)
        case .released(job.assignment.serial):
            holding.removeAll { $0 === job }
        case .keepsUp(job.assignment.serial):
            if pipes.grow(job) { lane.send(.pipesGrown(serial: job.assignment.serial)) }
        case .ended(job.assignment.serial, let claim, let isIdle, let keepsAccount):
            guard let facts = claim.checked else { return lane.kill() }
            // A lane that is not idle must still close the transfer, and has a limited time for it.
            if !isIdle { watchEnd(of: job, in: lane) }
            // The lane must not keep an account that the service manager's store holds for this job, nor one that
            // another lane has had and may still write to.
            let isOurs = job.stored == nil && job.attempts.count == 1
            let account = keepsAccount && isIdle && isOurs ? job.progress.account : nil
            ended(job, facts)
            if job.ended?.job.state == .complete { lane.account = account }
            if isIdle { becameIdle(lane, job) }
        case .idle:
            becameIdle(lane, job)
        case .responded, .stalled, .flowing, .held, .released, .keepsUp, .ended:
            // The report is about a job that this lane had before.
            break
        }
    }

    private func becameIdle(_ lane: Lane, _ job: JobRecord) {
        let isOver = job.machine.outcome != nil
        guard isOver || job.machine.isBetweenAttempts else {
            // The lane reports that it is idle, but has not reported the outcome. It cannot be trusted; its death ends
            // the attempt.
            return lane.kill()
        }
        running[ObjectIdentifier(lane)] = nil
        hasLeftLane(job)
        if !isOver { release(job) }
        job.timers.laneEnd?.cancel()
        pool.giveBack(lane)
    }

    private func responded(_ job: JobRecord, _ facts: ResponseFacts) {
        job.note(facts)
        metrics.firstByte.record(
            Nanoseconds.seconds(from: job.assignment.orderedAt, to: Monotonic.nanoseconds()))
        store.changed(job)
        log.responded(job)
        perform(job.machine.entered(.streaming), job)
    }

    func died(_ lane: Lane, _ exit: ProcessExit) {
        let job = running.removeValue(forKey: ObjectIdentifier(lane))
        log.laneDied(lane.processID, exit.description, job)
        guard let job else { return }
        hasLeftLane(job)
        job.timers.laneEnd?.cancel()
        if let account = job.progress.account, !account.isTaken, job.attempts.lostOrders < Self.ordersToLose {
            return giveAgain(job)
        }
        // The lane may have died after it recorded the representation but before it could report it.
        if job.progress.learnFromAccount() { job.response.describe(job.progress.known) }
        let host = job.request.url.origin.host
        let end = lane.fault.map { "was killed: \($0)" } ?? "died (\(exit))"
        let outcome = Outcome(.laneDied, "the process that talked to \(host) \(end)")
        let action = job.machine.laneDied(verdict(on: job, EndFacts(outcome), isDeath: true))
        perform(action, job)
        if job.machine.outcome == nil { release(job) }
    }

    /// The lane died before it took the order, so its death has nothing to do with the job.
    private func giveAgain(_ job: JobRecord) {
        job.attempts.orderWasLost()
        job.assignment.lane = nil
        let action = job.machine.orderWasLost()
        if action == .report {
            watchSink(of: job)
            job.assignment.queuedAt = Monotonic.nanoseconds()
            queue.enter(job, isBack: true)
        }
        perform(action, job)
        if job.machine.publicState == .parked { release(job) }
    }

    func watchEnd(of job: JobRecord, in lane: Lane) {
        job.timers.laneEnd?.cancel()
        let time = Duration.seconds(settings.lanes.endSeconds)
        job.timers.laneEnd = loop.after(time) { [weak self, weak lane, weak job] in
            guard let self, let lane, let job else { return }
            log.laneReplaced(lane.processID, job)
            lane.kill()
        }
    }
}
