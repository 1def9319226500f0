import Glibc
import SluiceClient
import SluiceInterface
import SystemPackage
import UnixSockets

/// One fetch from its start to its exit status.
struct FetchRun {
    let options: FetchCommand
    let environment: [String: String]
    let interruption: Interruption

    /// Where the body went, and how that ended.
    private enum Delivery {
        case copied(BodyCopier.Result)
        case command(RunningCommand)
    }

    /// - Returns: the exit status; everything has been said by then.
    /// - Throws: `SluiceError` where there is no outcome to report.
    func run() throws -> Int32 {
        do {
            let status = try fetch()
            interruption.cleanUp()
            return status
        } catch {
            // Without a command this does not return where a signal came first: its thread reports.
            let signal = interruption.claim()
            interruption.cleanUp()
            guard let signal, let status = ExitStatus(signal: signal) else { throw error }
            return status.rawValue
        }
    }

    private func fetch() throws -> Int32 {
        // What can fail on this side fails before anybody is asked for anything.
        let commandFile = try options.command.first.map { name in
            try CommandProcess.find(name, path: environment["PATH"])
        }
        let file = try options.outputPath.map { path in try OutputFile(path: path) }
        if let file { interruption.onExit { _ in file.discard() } }
        let connection = try service()
        let body = try connection.fetch(options.request)
        let id = body.id
        interruption.cover(job: id, serviceAt: connection.path)
        // A private service that has gone does not come back.
        let isPrivate = !options.service.finder.paths.contains(connection.path)
        let waiter = OutcomeWaiter(for: id, on: connection, patience: isPrivate ? .zero : .seconds(5))
        let progress = try startProgress(id, connection.path)

        let delivery: Delivery
        if let commandFile {
            delivery = .command(try start(commandFile, pipe: body.pipe))
        } else {
            let output = file?.descriptor.rawValue ?? STDOUT_FILENO
            delivery = .copied(try copy(body.pipe, to: output))
        }
        if case .copied(let result) = delivery, result.end == .outputClosed, !options.json {
            // Who closes the output knows. What the service makes of it is of interest to nobody.
            _ = interruption.claim()
            return ExitStatus.consumerGone.rawValue
        }
        let job = try waiter.wait()
        guard let outcome = job.outcome else {
            throw SluiceError(.serviceTrouble, "the service says that job \(id) has ended, but not how")
        }
        return try finish(job, outcome, delivery, file, progress)
    }

    /// Copies, and lets go of the pipe: only then does the service see that nobody reads any more.
    private func copy(
        _ pipe: consuming OwnedDescriptor, to output: Int32
    ) throws(SluiceError) -> BodyCopier.Result {
        try BodyCopier(to: output).copy(from: pipe)
    }

    /// Takes the pipe away from this process: only then is a command that closes it seen.
    private func start(_ file: String, pipe: consuming OwnedDescriptor) throws(SluiceError) -> RunningCommand
    {
        interruption.expectCommand()
        let command = RunningCommand(
            try CommandProcess(
                file: file, arguments: options.command, environment: environment, standardInput: pipe))
        interruption.cover(command)
        return command
    }

    // MARK: Before

    private func service() throws(SluiceError) -> SluiceConnection {
        let finder = options.service.finder
        if let connection = try finder.find() { return connection }
        let executable = try ServiceExecutable.find(environment: environment)
        let service = try PrivateService(
            executable: executable, environment: environment,
            standardError: options.verbose ? STDERR_FILENO : -1)
        interruption.onExit { haste in
            switch haste {
            case .orderly: service.stop()
            case .atOnce: service.removeDirectory()
            }
        }
        if !options.quiet, !options.json {
            Console.note("no service runs: started one for this fetch (process \(service.processID))")
        }
        return try SluiceConnection(connectedTo: service.path)
    }

    private func startProgress(_ id: String, _ path: String) throws(SluiceError) -> ProgressDisplay? {
        guard !options.quiet else { return nil }
        // A body that is shown on the terminal must not be mixed with a line about it.
        let isOnOutput = options.outputPath == nil && options.command.isEmpty
        let isMixed = isOnOutput && isatty(STDOUT_FILENO) == 1
        guard options.progress || (isatty(STDERR_FILENO) == 1 && !isMixed && !options.json) else {
            return nil
        }
        let progress = try ProgressDisplay(on: STDERR_FILENO, environment: environment)
        interruption.onExit { _ in progress.stop() }
        try progress.start(id, serviceAt: path)
        return progress
    }

    // MARK: After

    private func finish(
        _ job: Job, _ outcome: Outcome, _ delivery: Delivery, _ file: OutputFile?,
        _ progress: ProgressDisplay?
    ) throws -> Int32 {
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
        }
        if let signal = interruption.claim() {
            progress?.stop()
            Interruption.note(
                signal, outcome.code == .complete ? "the body was complete" : "the job is cancelled")
            return ExitStatus(signal: signal)?.rawValue ?? 1
        }
        if status == .complete { try file?.commit() }
        progress?.stop()
        report(job, outcome, status, commandStatus, progress)
        guard let commandStatus else { return status.rawValue }
        // A command that fails closes the pipe: then its failure is the cause, and the status that helps.
        let isCause = status == .consumerGone && commandStatus != 0
        return status == .complete || isCause ? commandStatus : status.rawValue
    }

    private func report(
        _ job: Job, _ outcome: Outcome, _ status: ExitStatus, _ commandStatus: Int32?,
        _ progress: ProgressDisplay?
    ) {
        if options.json {
            // Cannot fail: a job has no number that is not finite.
            if let line = try? JSONText.encode(job) { Console.line(line) }
            return
        }
        switch status {
        case .complete:
            if outcome.code == .completeUnverified, !options.quiet { Console.report(outcome) }
            if let progress { Console.line(progress.summary(of: job)) }
        case .unverified:
            Console.report(outcome, remedy: "--accept-unverified takes such a body")
        case .consumerGone where commandStatus != nil:
            Console.note(
                "\(options.command.first ?? "the command") stopped reading after "
                    + "\(ByteSize.describe(job.bytesDelivered)), before the end of the body")
        default:
            Console.report(outcome)
        }
    }
}
