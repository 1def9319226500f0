internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// How attempts and jobs end.
extension Scheduler {
    // MARK: Attempts end

    func ended(_ job: JobRecord, _ facts: EndFacts) {
        job.note(facts)
        noteDenial(job, facts)
        perform(job.machine.laneEnded(verdict(on: job, facts, isDeath: false)), job)
    }

    func verdict(on job: JobRecord, _ facts: EndFacts, isDeath: Bool) -> JobStateMachine.Verdict {
        guard job.machine.isRunning else { return .finish(facts.outcome) }
        guard let delivered = job.progress.account?.numbers()?.delivered else {
            return .finish(.accountIsDamaged)
        }
        let end = AttemptEnd(
            outcome: facts.outcome, status: facts.status, retryAfterSeconds: facts.retryAfterSeconds,
            isDeath: isDeath, position: job.progress.deliveredAtFailure, delivered: delivered,
            known: job.progress.known,
            wantsDigest: job.request.digest != nil)
        let decision = AttemptRules.judge(
            end, policy: &job.policy, statuses: settings.retries.statuses, pauses: settings.retries.pauses,
            secondsLeft: job.secondsLeft, random: Double.random(in: 0..<1))
        switch decision {
        case .finish(let outcome):
            return .finish(outcome)
        case .retry(let pause):
            job.progress.failed(delivered: delivered)
            job.attempts.end(facts.outcome)
            job.attempts.pause(pause)
            log.attemptFailed(job, facts.outcome, pause: pause)
            job.timers.pause = loop.after(.seconds(pause)) { [weak self, weak job] in
                guard let self, let job else { return }
                job.attempts.pauseIsOver()
                perform(job.machine.pauseIsOver(), job)
            }
            return .retry
        }
    }

    /// Makes a job that has not ended ready for its next lane. No lane may have anything to do with it any more.
    func release(_ job: JobRecord) {
        job.assignment.lane = nil
        holding.removeAll { $0 === job }
        let isParked = job.machine.publicState == .parked
        guard let dropped = job.progress.rewind(isParked: isParked) else {
            job.machine.becameUncertain(.accountIsDamaged)
            return finish(job, .accountIsDamaged)
        }
        metrics.threwAway(dropped)
        watchSink(of: job)
        store.changed(job)
        if isParked {
            park(job)
        } else if job.assignment.wantsLane {
            admit(job)
        }
    }

    // MARK: Consumers that do not read

    /// The consumer has kept the job waiting for a long time.
    func holds(_ job: JobRecord) {
        guard job.machine.isRunning else { return }
        if job.progress.known?.isParkable == true, job.request.digest == nil {
            return perform(job.machine.parkRequested(), job)
        }
        guard !holding.contains(where: { $0 === job }) else { return }
        holding.append(job)
        let share = Int(settings.parking.holdingShare * Double(settings.lanes.maximum))
        while holding.count > share, let oldest = holding.first {
            holding.removeFirst()
            if oldest.progress.known != nil, oldest.progress.known?.obstacle == nil {
                // The job can be continued, but some bytes have to be received once more.
                perform(oldest.machine.parkRequested(), oldest)
            } else {
                let seconds = settings.parking.afterSeconds
                end(
                    oldest,
                    Outcome(
                        .consumerTooSlow,
                        "the consumer kept its job waiting for more than \(seconds) s, the body could not be "
                            + "continued later, and \(share) such jobs may hold lanes"))
            }
        }
    }

    func park(_ job: JobRecord) {
        if let account = job.progress.account { pipes.fold(account.staging, of: job) }
        parking.park(job) { [weak self, weak job] in
            guard let self, let job else { return }
            log.unparked(job)
            perform(job.machine.drained(), job)
        }
    }

    // MARK: Jobs end

    func perform(_ action: JobStateMachine.Action, _ job: JobRecord) {
        switch action {
        case .none:
            break
        case .report, .pause:
            onChange(job)
        case .endTransfer:
            // Store it, so that a cancelled job does not go on in the next process of the service.
            store.changed(job)
            guard let lane = job.assignment.lane else { return }
            lane.send(.end(serial: job.assignment.serial))
            watchEnd(of: job, in: lane)
        case .enqueue:
            job.assignment.wantsLane = true
            store.changed(job)
            onChange(job)
            guard job.assignment.lane == nil else { return }
            admit(job)
        case .park:
            job.attempts.end(nil)
            metrics.parked += 1
            log.parked(job)
            onChange(job)
        case .finish(let outcome):
            finish(job, outcome)
        }
    }

    func finish(_ job: JobRecord, _ outcome: Outcome) {
        let settled = job.settle(outcome)
        if settled != outcome { job.machine.becameUncertain(settled) }
        parking.forget(job)
        holding.removeAll { $0 === job }
        pipes.release(job)
        let numbers = job.progress.settlement ?? JobAccount.Numbers()
        metrics.ended(settled, numbers)
        metrics.ended(
            settled, numbers, user: job.owner.userID, host: job.request.url.origin.host)
        switch settled.code.state {
        case .complete: totals.complete += 1
        case .cancelled: totals.cancelled += 1
        default: totals.failed += 1
        }
        let ended = job.close()
        // Store the outcome before the consumer can see an end of file and ask for the outcome.
        store.finished(job, ended)
        if let sink = job.sink, !sink.isPipe, let socket = sink.take() { onForeignSocket?(socket) }
        job.sink = nil
        jobs.ended(job, as: ended.job, remember: settings.limits.rememberedJobsPerUser)
        log.finished(job, settled)
        queue.hasEnded(job)
        onChange(job)
    }
}
