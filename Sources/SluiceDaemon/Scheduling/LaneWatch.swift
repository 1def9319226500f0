internal import EventLoop
internal import SluiceCore
internal import SluiceInterface

/// Checks the lanes that are at work. It kills those that hang (`HangWatch`) and those that have more threads than a
/// lane needs; their jobs go on as after any other death of a lane.
///
/// There is one timer for all lanes, and none while no lane has an order, so that an idle service does not wake up. A
/// check reads a few words of each ledger. For each lane that has moved nothing since the previous check, it also costs
/// a packet and a wake-up of the lane. Checks are a third of `lanes.hang_seconds` apart, so a lane that hangs is killed
/// within 1⅔ of that time. While the consumers of all jobs at work do not read, checks are the whole of that time
/// apart: a job that is stalled for days costs the daemon and its lane one wake-up each per `lanes.hang_seconds`, and a
/// lane that hangs meanwhile is killed within 2⅔ of that time. Parked jobs have no lane and cost nothing.
///
/// A job that was told to end or to park is not checked, because its lane already has a deadline (`lanes.end_seconds`).
///
/// Belongs to the loop's thread.
final class LaneWatch {
    /// Returns the jobs that lanes have orders for.
    var jobs: () -> [JobRecord] = { [] }
    /// `lanes.hang_seconds`: how long a lane may take to answer; 0 if lanes are not watched.
    var seconds: Double {
        didSet {
            guard seconds != oldValue else { return }
            rest()
            workChanged(isBusy: !jobs().isEmpty)
        }
    }

    private let loop: EventLoop
    private let log: ServiceLog
    private var watch = HangWatch()
    private var planned: (timer: Timer, due: ContinuousClock.Instant)?

    init(loop: EventLoop, log: ServiceLog, seconds: Double) {
        self.loop = loop
        self.log = log
        self.seconds = seconds
    }

    /// Plans the next check, or none. Called when lanes have begun or ended work, or the consumer of a job reads again.
    /// Cheap if nothing has to change.
    func workChanged(isBusy: Bool) {
        guard isBusy, seconds > 0 else { return rest() }
        if let planned, planned.due <= .now + interval { return }
        planned?.timer.cancel()
        plan(after: interval)
    }

    private func rest() {
        planned?.timer.cancel()
        planned = nil
    }

    private var interval: Duration { .seconds(seconds) / HangWatch.looksToAnswer }

    private func plan(after delay: Duration) {
        let timer = loop.after(delay) { [weak self] in self?.look() }
        planned = (timer, .now + delay)
    }

    private func look() {
        let isLate = planned.map { .now > $0.due + interval } ?? false
        planned = nil
        let busy = jobs()
        guard !busy.isEmpty else { return }
        // Below, lanes that were killed but have not ended yet are left out.
        for job in busy { job.assignment.lane?.killIfCrowded() }
        let working = busy.filter { $0.machine.isRunning && $0.assignment.lane?.fault == nil }
        let lanes = working.compactMap { job in
            job.progress.account.map {
                HangWatch.Lane(
                    serial: job.assignment.serial, pulse: $0.pulse,
                    isStalled: job.machine.publicState == .stalled)
            }
        }
        for action in watch.look(at: lanes, isLate: isLate) {
            switch action {
            case .ask(let serial, let number):
                working.first { $0.assignment.serial == serial }?.assignment.lane?.ask(number, about: serial)
            case .replace(let serial):
                working.first { $0.assignment.serial == serial }.map(replaceLane)
            }
        }
        plan(after: watch.isCalm ? .seconds(seconds) : interval)
    }

    private func replaceLane(of job: JobRecord) {
        guard let lane = job.assignment.lane else { return }
        lane.fault = "it did not answer the service for \(seconds) s"
        log.laneHangs(job, lane.processID, "it did not answer for \(seconds) s")
        // SIGKILL ends stopped processes, too. The lane's exit is reported through its pidfd.
        lane.kill()
    }
}
