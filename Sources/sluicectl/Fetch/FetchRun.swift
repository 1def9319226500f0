import Glibc
import SluiceClient
import SluiceCore
import SluiceInterface
import SystemPackage
import Unix

/// One fetch from its start to its exit status.
struct FetchRun {
    let options: FetchCommand
    let environment: [String: String]
    let interruption: Interruption

    /// What the client prepares before it asks the service for anything.
    struct Preparations {
        var commandFile: String?
        var file: OutputFile?
        var etagFile: EtagFile?
        var request: Ingest.FetchParameters
        /// Whether the service has not been asked yet.
        var isFirst = true
    }

    /// Where the body went, and how the delivery ended.
    enum Delivery {
        case copied(BodyCopier.Result)
        case command(RunningCommand)
        /// There is a command, but it was not started.
        case withheld
    }

    /// The service has no such job, and no byte has been delivered yet: the client may ask again.
    private struct Forgotten: Error {
        var cause: SluiceError
        var note: String
    }

    /// - Returns: the exit status. All messages have been written by then.
    /// - Throws: `SluiceError` where there is no outcome to report.
    func run() throws -> Int32 {
        do {
            let status = try fetch()
            interruption.cleanUp()
            return status
        } catch {
            // Where a signal came and there is no command, this does not return: the signals' thread ends the
            // program.
            let signal = interruption.claim()
            interruption.cleanUp()
            guard let signal, let status = ExitStatus(signal: signal) else { throw error }
            return status.rawValue
        }
    }

    private func fetch() throws -> Int32 {
        let given = try Patience.duration(environment)
        let prepared = try prepare()
        let begin = ContinuousClock.now
        var connection = try service(for: prepared.request)
        let path = connection.path
        // A private service that has ended does not come back.
        let isPrivate = !options.service.finder.paths.contains(path)
        let patience = isPrivate ? .zero : given
        var attempt = prepared
        var losses = 0
        while true {
            do {
                return try ask(connection, attempt, patience)
            } catch let forgotten as Forgotten {
                let elapsed = begin.duration(to: .now)
                // A service that is being restarted may report this until it has drained. A lost job is asked for
                // only once more.
                let goesOn = forgotten.cause.isStopping ? elapsed < patience : losses == 0
                guard !isPrivate, goesOn else { throw forgotten.cause }
                if losses == 0, attempt.isFirst, !options.quiet, !options.json {
                    Console.note(forgotten.note)
                }
                if forgotten.cause.isStopping { sleepWhole(.milliseconds(100)) } else { losses += 1 }
                attempt.isFirst = false
                // One deadline covers all attempts. The service reports when it has passed.
                attempt.request.deadlineSeconds = options.deadline.map {
                    max(0.001, $0 - elapsed / .seconds(1))
                }
                connection = try .reconnected(to: path, patience: patience)
            }
        }
    }

    /// Asks for the body and continues until the job has ended.
    private func ask(
        _ connection: SluiceConnection, _ prepared: Preparations, _ patience: Duration
    ) throws -> Int32 {
        let body = try fetch(prepared.request, from: connection)
        let id = body.id
        interruption.cover(job: id, serviceAt: connection.path)
        let waiter = OutcomeWaiter(for: id, on: connection, patience: patience)
        let progress = try startProgress(id, connection.path)

        let delivery: Delivery
        var ended: Job?
        if let commandFile = prepared.commandFile {
            if prepared.request.ifNoneMatch != nil, !BodyCopier.waitForBytes(in: body.pipe) {
                // A command that overwrites its output must not take an unchanged body for an empty one.
                ended = try outcome(waiter, delivered: 0, progress)
            }
            if let ended, ended.outcome.map({ !isWhole($0) }) ?? true {
                delivery = .withheld
            } else {
                delivery = .command(try start(commandFile, pipe: body.pipe))
            }
        } else {
            let output =
                prepared.file.map {
                    BodyCopier(to: $0.descriptor.rawValue, writesBack: $0.temporaryPath != nil)
                }
                ?? BodyCopier(to: STDOUT_FILENO)
            let result = try copy(body.pipe, to: output)
            delivery = .copied(result)
            if result.end == .outputClosed, !options.json {
                // The process that closes the output knows that. The outcome that the service reports does not
                // matter.
                _ = interruption.claim()
                return ExitStatus.consumerGone.rawValue
            }
            ended = try outcome(waiter, delivered: result.end == .endOfPipe ? result.bytes : nil, progress)
        }
        let job = try ended ?? waiter.wait()
        guard let outcome = job.outcome else {
            throw SluiceError(.serviceTrouble, "job \(id) has ended, but the service reports no outcome")
        }
        return try finish(job, outcome, delivery, prepared, progress)
    }

    private func fetch(
        _ request: Ingest.FetchParameters, from connection: SluiceConnection
    ) throws -> FetchedBody {
        do {
            return try connection.fetch(request)
        } catch {
            if error.isStopping {
                throw Forgotten(cause: error, note: "the service is stopping: waiting for the next one")
            }
            guard error.isConnectionLost else { throw error }
            // If there is a job, its pipe was lost with the answer, and the job ends with its pipe.
            throw Forgotten(cause: error, note: "the service went away before it answered: asking again")
        }
    }

    /// Waits for the job's outcome.
    ///
    /// - Parameter delivered: the number of bytes that this program has written, where the pipe has ended; nil where
    ///   it has not.
    private func outcome(
        _ waiter: OutcomeWaiter, delivered: Int?, _ progress: ProgressDisplay?
    ) throws -> Job {
        do {
            return try waiter.wait()
        } catch {
            guard error.isJobForgotten, delivered == 0 else { throw error }
            progress?.stop()
            throw Forgotten(
                cause: error,
                note: "the service was restarted and has lost the job before its first byte: fetching again")
        }
    }

    /// Copies the body and closes the pipe. Only then does the service see that the pipe has no reader any more.
    private func copy(
        _ pipe: consuming OwnedDescriptor, to output: BodyCopier
    ) throws(SluiceError) -> BodyCopier.Result {
        try output.copy(from: pipe)
    }

    /// Gives the pipe to a command and closes it here. Only then does the service see that the command closes it.
    private func start(_ file: String, pipe: consuming OwnedDescriptor) throws(SluiceError) -> RunningCommand
    {
        interruption.expectCommand()
        let command = RunningCommand(
            try CommandProcess(
                file: file, arguments: options.command, environment: environment, standardInput: pipe))
        interruption.cover(command)
        return command
    }

    // MARK: Preparations

    /// Errors on this side must occur before the service is asked for anything.
    private func prepare() throws(SluiceError) -> Preparations {
        var prepared = Preparations(request: options.request)
        if let name = options.command.first {
            prepared.commandFile = try CommandProcess.find(name, path: environment["PATH"])
        }
        if let path = options.etagFile {
            let file = try EtagFile(path: path)
            interruption.onExit { _ in file.discard() }
            prepared.etagFile = file
            // The answer “unchanged” is of no use to a user who does not have the file.
            if options.outputPath.map({ access($0, F_OK) == 0 }) ?? true {
                prepared.request.ifNoneMatch = file.tag
            }
        }
        if let path = options.outputPath {
            let file = try OutputFile(path: path)
            interruption.onExit { _ in file.discard() }
            prepared.file = file
        }
        return prepared
    }

    private func service(for request: Ingest.FetchParameters) throws -> SluiceConnection {
        let finder = options.service.finder
        if let connection = try finder.find() { return connection }
        do {
            // A request that the private service would refuse is checked before the service is started.
            _ = try JobRequest(request, settings: Settings())
        } catch {
            throw SluiceError(.refused, "\(error.parameter): \(error.reason)", remedy: error.remedy)
        }
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
        // A body that is shown on the terminal must not be mixed with a progress line.
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
}
