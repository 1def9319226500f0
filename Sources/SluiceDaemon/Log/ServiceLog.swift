internal import LaneProtocol
internal import Logging
internal import SluiceCore
internal import SluiceInterface
internal import Systemd
internal import Unix

/// All messages of the service's log, in one place: constant messages, the values in fields, a MESSAGE_ID for each
/// kind. URLs are redacted before they come here.
struct ServiceLog {
    private let logger: Logger
    /// The logger for the records of accepted and ended jobs, which no other messages may suppress.
    private let records: Logger
    private let limiters = LogLimiters()

    /// The number of bytes of a URL that are logged, so that a user who asks for long URLs cannot push other entries
    /// out of the journal.
    private static let longestURL = 1024

    init(_ logger: Logger) {
        self.logger = logger
        var records = logger
        if var handler = logger.handler as? JournalLogHandler {
            handler.isRecord = true
            // Lines on standard error are for people, so the level applies to records there.
            if handler.isJournal { handler.logLevel = min(logger.logLevel, .info) }
            records.handler = handler
        }
        self.records = records
    }

    // MARK: The service

    func ready(socket: String, version: String) {
        write(
            .notice, .serviceReady, "ready", ["SLUICE_SOCKET": "\(socket)", "SLUICE_VERSION": "\(version)"])
    }

    func stopping(active: Int) {
        write(.notice, .serviceStopping, "stopping", ["SLUICE_ACTIVE_JOBS": "\(active)"])
    }

    func draining(_ isDraining: Bool, active: Int) {
        write(
            .notice, isDraining ? .serviceDraining : .serviceUndrained,
            isDraining ? "draining: no new jobs are accepted" : "new jobs are accepted again",
            ["SLUICE_ACTIVE_JOBS": "\(active)"])
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

    func cannotStart(_ reason: String) {
        write(.critical, .lanesUnavailable, "cannot start", ["SLUICE_REASON": "\(reason)"])
    }

    // MARK: Jobs

    /// The record of an accepted job: the user, the program and the URL.
    func queued(_ job: JobRecord) {
        record(.info, .jobQueued, "job accepted", of: job, ["SLUICE_URL": "\(url(of: job))"])
    }

    func dispatched(_ job: JobRecord) {
        write(
            .info, .jobStarted, "job started",
            of: job,
            [
                "SLUICE_ATTEMPT": "\(job.attempts.count)",
                "SLUICE_LANE": "\(job.assignment.lane?.processID ?? 0)",
            ])
    }

    func responded(_ job: JobRecord) {
        write(
            .debug, nil, "response accepted", of: job,
            ["SLUICE_CONTENT_LENGTH": "\(job.response.contentLength.map(String.init) ?? "unknown")"])
    }

    func stalled(_ job: JobRecord) {
        write(.info, .jobStalled, "job stalled: the consumer does not read", of: job)
    }

    func resumed(_ job: JobRecord) {
        write(.info, .jobResumed, "job resumed: the consumer reads again", of: job)
    }

    func attemptFailed(_ job: JobRecord, _ outcome: Outcome, pause: Double) {
        write(
            .notice, .attemptFailed, "attempt failed, there will be another",
            of: job,
            [
                "SLUICE_ATTEMPT": "\(job.attempts.count)", "SLUICE_OUTCOME": "\(outcome.code.rawValue)",
                "SLUICE_REASON": "\(outcome.message)", "SLUICE_PAUSE_USEC": "\(Int(pause * 1e6))",
            ])
    }

    func parked(_ job: JobRecord) {
        write(.info, .jobParked, "job parked: the consumer has not read for long", of: job)
    }

    func unparked(_ job: JobRecord) {
        write(.info, .jobResumed, "job unparked: the consumer reads again", of: job)
    }

    /// The record of an ended job: its outcome and its numbers.
    func finished(_ job: JobRecord, _ outcome: Outcome) {
        let (level, id, message): (Logger.Level, MessageID, Logger.Message) =
            switch outcome.code.state {
            case .complete: (.info, .jobComplete, "job complete")
            case .cancelled: (.info, .jobCancelled, "job cancelled")
            default: (.notice, .jobFailed, "job failed")
            }
        record(
            level, id, message, of: job,
            [
                "SLUICE_OUTCOME": "\(outcome.code.rawValue)", "SLUICE_REASON": "\(outcome.message)",
                "SLUICE_STALLED_USEC": "\(job.progress.settlement?.stalledUsec ?? 0)",
                "SLUICE_GATE_CLOSURES": "\(job.progress.settlement?.gateClosures ?? 0)",
                "SLUICE_DURATION_USEC": "\(Uptime.microseconds() - job.createdUptimeUsec)",
            ])
    }

    // MARK: The store and the outcomes

    func restored(_ job: JobRecord) {
        write(
            .info, .jobRestored, "job restored after a restart",
            of: job, ["SLUICE_POSITION": "\(job.progress.position)"])
    }

    func restoreFailed(_ reason: String) {
        write(
            .error, .restoreFailed,
            "an entry in the service manager's store cannot be used, and was dropped",
            ["SLUICE_REASON": "\(reason)"], about: .service)
    }

    func handedOver(_ jobs: Int) {
        write(
            .notice, .jobsHandedOver, "restart: the service manager keeps the jobs",
            ["SLUICE_ACTIVE_JOBS": "\(jobs)"])
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

    /// - Parameter job: the job that the lane had; nil for none.
    func laneDied(_ processID: Int32, _ exit: String, _ job: JobRecord?) {
        write(
            .warning, .laneDied, "lane died",
            about(job, ["SLUICE_LANE": "\(processID)", "SLUICE_EXIT": "\(exit)"]), about: .lanes)
    }

    func lanesLessConfined(_ missing: [String]) {
        write(
            .warning, .lanesLessConfined, "lanes are not fully confined",
            ["SLUICE_REASON": "the kernel does not offer \(missing.joined(separator: " and "))"])
    }

    /// - Parameter line: untrusted, like everything that a lane says. The log handler makes one line of it.
    func laneSays(_ processID: Int32, _ line: String) {
        write(
            .warning, .laneSays, "lane says", ["SLUICE_LANE": "\(processID)", "SLUICE_TEXT": "\(line)"],
            about: .lanes)
    }

    func laneReplaced(_ processID: Int32, _ job: JobRecord) {
        write(
            .warning, .laneReplaced, "lane replaced: it did not end its transfer in time",
            about(job, ["SLUICE_LANE": "\(processID)"]), about: .lanes)
    }

    func laneHangs(_ job: JobRecord, _ processID: Int32, _ reason: String) {
        write(
            .warning, .laneHangs, "lane killed: it hangs",
            of: job, ["SLUICE_LANE": "\(processID)", "SLUICE_REASON": "\(reason)"])
    }

    func laneCannotStart(_ reason: String) {
        write(.error, .laneCannotStart, "lane cannot start", ["SLUICE_REASON": "\(reason)"], about: .service)
    }

    func nurseryFailed(_ reason: String) {
        write(
            .warning, .nurseryFailed, "lanes start more slowly: the nursery has failed",
            ["SLUICE_REASON": "\(reason)"], about: .service)
    }

    func lanesUnavailable(_ reason: String) {
        write(.error, .lanesUnavailable, "jobs that need a new lane fail", ["SLUICE_REASON": "\(reason)"])
    }

    /// Tells the administrator the address, which the user is not told.
    func addressDenied(_ job: JobRecord, _ facts: EndFacts) {
        var fields: Logger.Metadata = [
            "SLUICE_REASON": "\(facts.outcome.message)", "SLUICE_USER": "\(job.owner.userID)",
        ]
        if let address = facts.deniedAddress { fields["SLUICE_ADDRESS"] = "\(address)" }
        write(.warning, .addressDenied, "connection denied by the egress rules", of: job, fields)
    }

    func namesUnknown(_ names: [String]) {
        let shown = names.prefix(10).joined(separator: ", ") + (names.count > 10 ? ", …" : "")
        write(
            .warning, .userUnknown, "the settings name users or groups that do not exist",
            ["SLUICE_REASON": "\(shown)"])
    }

    func directorySilent(userID: UInt32) {
        write(
            .error, .userUnknown, "the user directory does not answer; the strictest rules apply",
            ["SLUICE_USER": "\(userID)", "SLUICE_REASON": "nothing is known of user \(userID)"],
            about: .service)
    }

    func clientRefused(userID: UInt32, _ reason: String) {
        write(
            .notice, .clientRefused, "client refused",
            ["SLUICE_USER": "\(userID)", "SLUICE_REASON": "\(reason)"], about: .refusals(of: userID))
    }

    func pipeBudgetLow(used: Int, limit: Int) {
        write(
            .notice, .pipeBudgetLow, "pipes stay small: the budget for pipe buffers is used up",
            ["SLUICE_PIPE_BYTES": "\(used)", "SLUICE_PIPE_BUDGET": "\(limit)"], about: .service)
    }

    /// Trouble of the service itself that needs an administrator.
    ///
    /// - Parameter job: the job that the trouble affects; nil if it affects more than one.
    func trouble(_ kind: MessageID, _ message: Logger.Message, _ reason: String, job: JobRecord? = nil) {
        write(.error, kind, message, about(job, ["SLUICE_REASON": "\(reason)"]), about: .service)
    }

    func methodFailed(_ method: String, _ error: any Error) {
        trouble(.methodFailed, "a method failed", "\(method): \(error)")
    }

    /// The journal takes entries more slowly than the service writes them, so records might be lost.
    var isJournalBehind: Bool { JournalLogHandler.isJournalBehind }

    /// The number of messages since the start that were not written because there were too many.
    var dropped: Int { limiters.dropped }

    // MARK: Inside

    private func url(of job: JobRecord) -> String {
        let url = job.request.url.redacted
        // A URL is ASCII: each byte is a character.
        return url.utf8.count <= Self.longestURL ? url : url.prefix(Self.longestURL - 1) + "…"
    }

    private func about(_ job: JobRecord?, _ fields: Logger.Metadata) -> Logger.Metadata {
        job.map { facts($0, fields) } ?? fields
    }

    private func facts(_ job: JobRecord, _ more: Logger.Metadata) -> Logger.Metadata {
        var fields: Logger.Metadata = [
            "SLUICE_JOB": "\(job.id)", "SLUICE_USER": "\(job.owner.userID)",
            "SLUICE_STATE": "\(job.machine.publicState.rawValue)",
            "SLUICE_HOST": "\(job.request.url.origin.host)",
            "SLUICE_BYTES": "\(job.progress.numbers.delivered)",
        ]
        if let status = job.response.status { fields["SLUICE_HTTP_STATUS"] = "\(status)" }
        return fields.merging(more) { $1 }
    }

    /// - Parameter topic: the topic whose limit applies, for messages that clients can cause any number of times; nil
    ///   for no limit.
    func write(
        _ level: Logger.Level, _ id: MessageID?, _ message: Logger.Message,
        _ fields: @autoclosure () -> Logger.Metadata, about topic: LogLimiters.Topic? = nil
    ) {
        // Messages below the log's level are neither built nor counted by a limiter.
        guard level >= logger.logLevel, topic.map(allowed) ?? true else { return }
        var fields = fields()
        if let id { fields["MESSAGE_ID"] = "\(id.rawValue)" }
        logger.log(level: level, message, metadata: fields)
    }

    func write(
        _ level: Logger.Level, _ id: MessageID?, _ message: Logger.Message, of job: JobRecord,
        _ more: @autoclosure () -> Logger.Metadata = [:]
    ) {
        write(level, id, message, facts(job, more()), about: .jobs(of: job.owner.userID))
    }

    /// Writes a record. No limiter applies to records: if the journal cannot keep up with them, new jobs are refused.
    private func record(
        _ level: Logger.Level, _ id: MessageID, _ message: Logger.Message, of job: JobRecord,
        _ more: @autoclosure () -> Logger.Metadata
    ) {
        guard level >= records.logLevel else { return }
        var fields = facts(job, more())
        fields["MESSAGE_ID"] = "\(id.rawValue)"
        fields["SLUICE_PID"] = "\(job.owner.processID)"
        if let program = job.program { fields["SLUICE_EXECUTABLE"] = "\(program)" }
        records.log(level: level, message, metadata: fields)
    }

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

extension ServiceLog: LaneLog {}
