import SluiceClient
internal import SluiceCore
import SluiceInterface
import Unix

/// The consequences of a job's outcome: files, messages, the exit status.
extension FetchRun {
    /// Whether an outcome is everything that was asked for.
    func isWhole(_ outcome: Outcome) -> Bool {
        ExitStatus(of: outcome.code, acceptsUnverified: options.acceptUnverified) == .complete
    }

    /// - Returns: the exit status. All messages have been written by then.
    /// - Throws: `SluiceError` where the service contradicts itself, and where a file cannot be written.
    func finish(
        _ job: Job, _ outcome: Outcome, _ delivery: Delivery, _ prepared: Preparations,
        _ progress: ProgressDisplay?
    ) throws(SluiceError) -> Int32 {
        var status = ExitStatus(of: outcome.code, acceptsUnverified: options.acceptUnverified)
        var commandStatus: Int32?
        switch delivery {
        case .copied(let result):
            if result.end == .outputClosed { status = .consumerGone }
            if status == .complete, result.bytes != job.bytesDelivered {
                throw SluiceError(
                    .serviceTrouble,
                    "the service delivered \(job.bytesDelivered) bytes, but \(result.bytes) arrived",
                    remedy: "fetch again, and report this: it should never happen")
            }
        case .command(let command):
            progress?.stop()
            commandStatus = try? command.process.wait().shellStatus
        case .withheld: break
        }
        if let signal = interruption.claim() {
            progress?.stop()
            let end =
                switch outcome.code {
                case .complete: "the body was complete"
                // A command that the same signal has ended closes the pipe before the job is cancelled.
                case .cancelled, .consumerGone: "the job is cancelled"
                default: "the job had ended: \(outcome.message)"
                }
            Interruption.note(signal, end)
            return ExitStatus(signal: signal)?.rawValue ?? 1
        }
        if status == .complete { try keep(job, outcome, commandStatus, prepared) }
        progress?.stop()
        report(job, outcome, status, commandStatus, progress)
        guard let commandStatus else { return status.rawValue }
        // A command that fails closes the pipe. Its failure is then the cause, and its status is the useful one.
        let isCause = status == .consumerGone && commandStatus != 0
        return status == .complete || isCause ? commandStatus : status.rawValue
    }

    /// Puts the body's file in place, and then the file with its version.
    private func keep(
        _ job: Job, _ outcome: Outcome, _ commandStatus: Int32?, _ prepared: Preparations
    ) throws(SluiceError) {
        if let wanted = options.digestRequest, !wanted.accepts(job.digest) {
            throw SluiceError(
                .serviceTrouble,
                "the service says that the body is complete, but does not tell the digest that was asked for: "
                    + "\(job.digest ?? "none") for \(wanted)",
                remedy: "see whether both are of one version (sluicectl status)")
        }
        // An old version must never stand beside a new body, even if the program ends between the two steps.
        if prepared.file != nil { try prepared.etagFile?.forget() }
        try prepared.file?.commit()
        // A body that a command could not use must be fetched again. A body that may have been cut has no version.
        if commandStatus ?? 0 == 0 {
            try prepared.etagFile?.store(outcome.code == .complete ? job.etag : nil)
        }
    }

    private func report(
        _ job: Job, _ outcome: Outcome, _ status: ExitStatus, _ commandStatus: Int32?,
        _ progress: ProgressDisplay?
    ) {
        if options.json {
            // Cannot fail: every number of a job is finite.
            if let line = try? JSONText.encode(job) { Console.line(line) }
            return
        }
        switch status {
        case .complete:
            if outcome.code == .completeUnverified, !options.quiet { Console.report(outcome) }
            if let progress { Console.line(progress.summary(of: job)) }
            // The user asked for the digest, so `quiet` does not hide it. It stands alone on its line, for programs.
            if options.digestRequest.map({ $0.expected == nil }) ?? false, let digest = job.digest {
                Console.line(Terminal.printable(digest))
            }
        case .unchanged:
            if !options.quiet { Console.report(outcome) }
        case .unverified:
            Console.report(outcome, remedy: "--accept-unverified accepts such a body")
        case .consumerGone where commandStatus != nil:
            Console.note(
                "\(options.command.first ?? "the command") stopped reading after "
                    + "\(ByteSize.describe(job.bytesDelivered)), before the end of the body")
        default:
            Console.report(outcome)
        }
    }
}
