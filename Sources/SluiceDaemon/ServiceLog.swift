internal import Logging
internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// Everything that the service says in its log, in one place: constant messages, the values beside them, a MESSAGE_ID
/// for each kind. URLs are redacted before they come here.
struct ServiceLog {
    private let logger: Logger
    private let limiters = LogLimiters()

    init(_ logger: Logger) {
        self.logger = logger
    }

    // MARK: The service

    func ready(socket: String, version: String) {
        write(
            .notice, .serviceReady, "ready", ["SLUICE_SOCKET": "\(socket)", "SLUICE_VERSION": "\(version)"])
    }

    func stopping(active: Int) {
        write(.notice, .serviceStopping, "stopping", ["SLUICE_ACTIVE_JOBS": "\(active)"])
    }

    func reloaded(needingRestart: [String]) {
        write(.notice, .settingsReloaded, "settings read again", [:])
        guard !needingRestart.isEmpty else { return }
        write(
            .warning, .settingsNeedRestart, "some changes take effect only at a restart",
            ["SLUICE_SETTINGS": "\(needingRestart.joined(separator: ", "))"])
    }

    func rejected(_ reason: String) {
        write(
            .error, .settingsRejected, "settings not usable, the old ones stay",
            ["SLUICE_REASON": "\(reason)"])
    }

    func cannotListen(_ reason: String) {
        write(.critical, .listenFailed, "cannot listen", ["SLUICE_REASON": "\(reason)"])
    }

    func cannotStart(_ reason: String) {
        write(.critical, .lanesUnavailable, "cannot start", ["SLUICE_REASON": "\(reason)"])
    }

    // MARK: Jobs

    func queued(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(
            .info, .jobQueued, "job accepted",
            facts(job, ["SLUICE_URL": "\(job.request.url.redacted)", "SLUICE_USER": "\(job.owner.userID)"]))
    }

    func dispatched(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(
            .info, .jobStarted, "job started",
            facts(job, ["SLUICE_ATTEMPT": "\(job.attempts)", "SLUICE_LANE": "\(job.lane?.processID ?? 0)"]))
    }

    func responded(_ job: JobRecord) {
        guard logger.logLevel <= .debug, allowed(.jobs(of: job.owner.userID)) else { return }
        let length = job.contentLength.map(String.init) ?? "unknown"
        logger.debug("response accepted", metadata: facts(job, ["SLUICE_CONTENT_LENGTH": "\(length)"]))
    }

    func stalled(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(.info, .jobStalled, "job stalled: the consumer does not read", facts(job))
    }

    func resumed(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(.info, .jobResumed, "job resumed: the consumer reads again", facts(job))
    }

    func attemptFailed(_ job: JobRecord, _ outcome: Outcome, pause: Double) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(
            .notice, .attemptFailed, "attempt failed, there will be another",
            facts(
                job,
                [
                    "SLUICE_ATTEMPT": "\(job.attempts)", "SLUICE_OUTCOME": "\(outcome.code.rawValue)",
                    "SLUICE_REASON": "\(outcome.message)", "SLUICE_PAUSE_USEC": "\(Int(pause * 1e6))",
                ]))
    }

    func parked(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(.info, .jobParked, "job parked: the consumer has not read for long", facts(job))
    }

    func unparked(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(.info, .jobResumed, "job unparked: the consumer reads again", facts(job))
    }

    func finished(_ job: JobRecord, _ outcome: Outcome) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        let fields: Logger.Metadata = [
            "SLUICE_OUTCOME": "\(outcome.code.rawValue)", "SLUICE_REASON": "\(outcome.message)",
            "SLUICE_STALLED_USEC": "\(job.settlement?.stalledUsec ?? 0)",
            "SLUICE_GATE_CLOSURES": "\(job.settlement?.gateClosures ?? 0)",
            "SLUICE_DURATION_USEC": "\(Uptime.microseconds() - job.createdUptimeUsec)",
        ]
        switch outcome.code.state {
        case .complete: write(.info, .jobComplete, "job complete", facts(job, fields))
        case .cancelled: write(.info, .jobCancelled, "job cancelled", facts(job, fields))
        default: write(.notice, .jobFailed, "job failed", facts(job, fields))
        }
    }

    // MARK: What outlives the process

    func restored(_ job: JobRecord) {
        guard allowed(.jobs(of: job.owner.userID)) else { return }
        write(
            .info, .jobRestored, "job restored after a restart",
            facts(job, ["SLUICE_POSITION": "\(job.position)"]))
    }

    func restoreFailed(_ reason: String) {
        guard allowed(.service) else { return }
        write(
            .error, .restoreFailed,
            "something in the service manager's store cannot be used, and was dropped",
            ["SLUICE_REASON": "\(reason)"])
    }

    func handedOver(_ jobs: Int) {
        write(
            .notice, .jobsHandedOver, "restart: the service manager keeps the jobs",
            ["SLUICE_ACTIVE_JOBS": "\(jobs)"])
    }

    func outcomesRead(_ contents: OutcomeFile.Contents) {
        if let problem = contents.problem { outcomes(.failing(problem)) }
        guard contents.skipped > 0 else { return }
        write(
            .warning, .outcomesUnreadable,
            "lines in the file of outcomes cannot be read, and were passed over",
            ["SLUICE_REASON": "\(contents.skipped) lines"])
    }

    func outcomes(_ note: OutcomeFile.Note) {
        switch note {
        case .failing(let reason):
            write(
                .error, .outcomesNotKept, "outcomes cannot be kept for a restart",
                ["SLUICE_REASON": "\(reason)"])
        case .recovered(let lost):
            write(
                .notice, .outcomesKeptAgain, "outcomes are kept again", ["SLUICE_REASON": "\(lost) were lost"]
            )
        }
    }

    func noStateDirectory() {
        write(
            .notice, .outcomesNotKept, "outcomes cannot be kept for a restart",
            ["SLUICE_REASON": "there is no state directory (StateDirectory=)"])
    }

    // MARK: Lanes, clients, pipes

    func descriptorsShort(_ limit: Int) {
        write(
            .warning, .descriptorsShort,
            "there can be fewer jobs and connections than the settings allow: too few open files",
            ["SLUICE_DESCRIPTORS": "\(limit)"])
    }

    func laneStarted(_ processID: Int32) {
        write(.debug, .laneStarted, "lane started", ["SLUICE_LANE": "\(processID)"])
    }

    func laneDied(_ processID: Int32, _ exit: String) {
        guard allowed(.lanes) else { return }
        write(.warning, .laneDied, "lane died", ["SLUICE_LANE": "\(processID)", "SLUICE_EXIT": "\(exit)"])
    }

    func laneReplaced(_ processID: Int32) {
        guard allowed(.lanes) else { return }
        write(
            .warning, .laneReplaced, "lane replaced: it did not end its transfer in time",
            ["SLUICE_LANE": "\(processID)"])
    }

    func laneCannotStart(_ reason: String) {
        guard allowed(.service) else { return }
        write(.error, .laneCannotStart, "lane cannot start", ["SLUICE_REASON": "\(reason)"])
    }

    func lanesUnavailable(_ reason: String) {
        write(.error, .lanesUnavailable, "jobs that need a new lane fail", ["SLUICE_REASON": "\(reason)"])
    }

    func clientRefused(userID: UInt32, _ reason: String) {
        guard allowed(.refusals(of: userID)) else { return }
        write(
            .notice, .clientRefused, "client refused",
            ["SLUICE_USER": "\(userID)", "SLUICE_REASON": "\(reason)"])
    }

    func pipeBudgetLow(used: Int, limit: Int) {
        guard allowed(.service) else { return }
        write(
            .notice, .pipeBudgetLow, "pipes stay small: the budget for pipe buffers is used up",
            ["SLUICE_PIPE_BYTES": "\(used)", "SLUICE_PIPE_BUDGET": "\(limit)"])
    }

    /// Trouble of the service's own that somebody should see to.
    func trouble(_ kind: MessageID, _ message: Logger.Message, _ reason: String) {
        guard allowed(.service) else { return }
        write(.error, kind, message, ["SLUICE_REASON": "\(reason)"])
    }

    /// Messages that were not written because there were too many, from the start on.
    var dropped: Int { limiters.dropped }

    // MARK: Inside

    private func facts(_ job: JobRecord, _ more: Logger.Metadata = [:]) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "SLUICE_JOB": "\(job.id)", "SLUICE_STATE": "\(job.machine.publicState.rawValue)",
            "SLUICE_HOST": "\(job.request.url.origin.host)",
            "SLUICE_BYTES": "\(job.delivered)",
        ]
        if let status = job.httpStatus { fields["SLUICE_HTTP_STATUS"] = "\(status)" }
        return fields.merging(more) { $1 }
    }

    private func write(
        _ level: Logger.Level, _ id: MessageID, _ message: Logger.Message, _ fields: Logger.Metadata
    ) {
        var fields = fields
        fields["MESSAGE_ID"] = "\(id.rawValue)"
        logger.log(level: level, message, metadata: fields)
    }

    /// What clients can cause as often as they like must not fill the journal.
    private func allowed(_ topic: LogLimiters.Topic) -> Bool {
        switch limiters.admit(topic, at: .now) {
        case .write: return true
        case .drop: return false
        case .writeAfterDropping(let count):
            write(
                .warning, .messagesDropped, "log messages dropped, there were too many",
                ["SLUICE_DROPPED": "\(count)"])
            return true
        }
    }
}
