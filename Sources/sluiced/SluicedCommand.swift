import ArgumentParser
import EventLoop
import Glibc
import Logging
import ServiceLifecycle
import SluiceCore
import SluiceDaemon
import SluiceInterface
import Synchronization
import SystemPackage
import Systemd
import Unix
import UnixSignals

/// `sluiced(8)`: reads the settings, opens the socket, and hands over to `IngestDaemon`.
@main
struct SluicedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluiced",
        abstract: "Fetches URLs for local programs, into pipes, at the pace of their readers.",
        discussion: """
            Clients connect to a Unix-domain socket and speak Varlink (io.sluice.Ingest); sluicectl(1) is one. \
            Under systemd the socket is handed over by sluiced.socket, or made by the service itself.

            SIGTERM and SIGINT stop it cleanly, SIGHUP reads the settings again.

            Exit status:
              0  it was asked to stop
              1  it cannot continue; it has reported the reason
             64  the command line cannot be understood
             69  it cannot listen, or cannot start a lane
             78  the settings cannot be used, or there is no sluice-lane
            """,
        version: SluiceVersion.current)

    @Option(
        name: .long, help: ArgumentHelp("Read settings from FILE (sluiced.toml).", valueName: "file"),
        completion: .file(extensions: ["toml"]))
    var config: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Check FILE and its drop-ins, and exit.", valueName: "file"),
        completion: .file(extensions: ["toml"]))
    var checkConfig: String?

    @Flag(
        name: .long,
        help: "Print all effective settings with their sources, and exit."
    )
    var printConfig = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Listen on PATH. Overrides the settings. The default is \(SocketPath.system) for root and "
                + "$XDG_RUNTIME_DIR/sluice/io.sluice.Ingest for others.", valueName: "path"),
        completion: .file())
    var socket: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Path of the lane's executable. The default is the installed one.", valueName: "path"),
        completion: .file())
    var lane: String?

    @Flag(
        name: .long,
        help: "Serve one client alone: write a byte to descriptor 3 when ready, stop when it reaches its end."
    )
    var `private` = false

    static func main() {
        do {
            // Either this command, or the library's for help or the version.
            var command = try parseAsRoot()
            try command.run()
        } catch  where exitCode(for: error) == .validationFailure {
            // The library's own prefix does not name the program.
            let text = fullMessage(for: error)
            say(text.hasPrefix("Error: ") ? "sluiced: \(text.dropFirst(7))" : text)
            Glibc.exit(ExitCode.validationFailure.rawValue)
        } catch {
            exit(withError: error)
        }
    }

    func run() throws {
        if let checkConfig {
            _ = try check(checkConfig)
            print("\(checkConfig): good")
            return
        }
        if printConfig { return try printSettings() }
        StandardDescriptors.fill()
        if self.private, fcntl(3, F_GETFD) < 0 {
            throw ValidationError("--private needs a descriptor 3: it is for sluicectl(1).")
        }
        let settings = try config.map(load) ?? standardSettings()
        signal(SIGPIPE, SIG_IGN)
        raiseDescriptorLimit()
        let logger = makeLogger(level: settings.logLevel)
        let loop: EventLoop
        do {
            loop = try EventLoop()
        } catch {
            tell(logger, .serviceFailed, "cannot start", "no event loop can be made: \(error)")
            throw ExitCode.unavailable
        }
        let socketPath = socketPath(settings)
        let configuration = DaemonConfiguration(
            laneExecutable: try laneExecutable(), laneEnvironment: try laneEnvironment(),
            socketName: socketPath, notifies: !self.private,
            stateDirectory: self.private ? nil : stateDirectory(),
            credentialsDirectory: credentialsDirectory())
        let daemon: IngestDaemon
        do throws(SettingsFileError) {
            daemon = try IngestDaemon(
                loop: loop, configuration: configuration, settings: settings, logger: logger)
        } catch {
            throw failure(error.description)
        }
        // All code runs on this thread, including asynchronous functions. Swift's global executor is never started (see
        // `EventLoop`).
        let end = Mutex<ExitCode?>(nil)
        Task(executorPreference: loop) {
            let code = await serveToTheEnd(daemon, loop, socketPath, settings, logger)
            end.withLock { $0 = code }
            loop.stop()
        }
        loop.run()
        JournalLogHandler.flush(within: .seconds(1))
        if let code = end.withLock({ $0 }) { throw code }
    }

    /// Serves until the service has stopped or failed, and logs a failure.
    ///
    /// - Returns: the exit status of the process.
    private func serveToTheEnd(
        _ daemon: IngestDaemon, _ loop: EventLoop, _ socketPath: String, _ settings: Settings,
        _ logger: Logger
    ) async -> ExitCode {
        do {
            try await serve(daemon, loop, socketPath, settings, logger)
            return .success
        } catch let error as ListeningFailure {
            tell(logger, .listenFailed, "cannot listen", error.reason)
            return .unavailable
        } catch is StartFailure {
            return .unavailable
        } catch {
            tell(logger, .serviceFailed, "cannot go on", "\(error)")
            return .failure
        }
    }

    private func tell(_ logger: Logger, _ kind: MessageID, _ message: Logger.Message, _ reason: String) {
        logger.critical(
            message, metadata: ["MESSAGE_ID": "\(kind.rawValue)", "SLUICE_REASON": "\(reason)"])
    }

    private func serve(
        _ daemon: IngestDaemon, _ loop: EventLoop, _ socketPath: String, _ settings: Settings,
        _ logger: Logger
    ) async throws {
        // Trap the signal before any process can see that the service is there: it must find its handler.
        let hangUps = await UnixSignalsSequence(trapping: .sighup)
        var configuration = ServiceGroupConfiguration(
            services: [
                DaemonService(
                    daemon: daemon, socketPath: socketPath, isPrivate: self.private,
                    isManaged: !self.private && Notifier.isUnderSystemd),
                ReloadService(hangUps: hangUps, path: config, daemon: daemon),
            ], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet(logger))
        configuration.maximumGracefulShutdownDuration = .seconds(settings.restart.drainSeconds + 15)
        let group = ServiceGroup(configuration: configuration)
        if self.private {
            Lifeline.watch(OwnedDescriptor(adopting: 3), on: loop) {
                Task { await group.triggerGracefulShutdown() }
            }
        }
        try await group.run()
    }

    /// A logger for the lifecycle library, whose messages below errors help only to debug the library itself.
    private func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = .error
        return quiet
    }

    /// The settings without a file: the defaults. A private service has no maximum timeouts, because its only client
    /// can harm only itself.
    private func standardSettings() -> Settings {
        var settings = Settings()
        if self.private { settings.longest = .any }
        return settings
    }

    /// Reads settings for a user or for systemctl(1). Reports problems as plain lines on standard error and not in the
    /// service's log.
    private func check(_ path: String) throws -> LoadedSettings {
        do {
            return try SettingsFile.load(path: path)
        } catch {
            Self.say(lines: error.description)
            throw ExitCode.configuration
        }
    }

    private func printSettings() throws {
        var loaded = try config.map(check) ?? SettingsFile.defaults
        if let socket { loaded.override("service", "socket", with: socket, by: "--socket") }
        print(loaded.text, terminator: "")
    }

    private func load(_ path: String) throws -> Settings {
        do {
            return try SettingsFile.read(path: path)
        } catch {
            throw failure(error.description)
        }
    }

    /// Reports why the daemon does not start, to the user on the terminal or to the administrator in the journal.
    private func failure(_ reason: String) -> ExitCode {
        if LogDestination.detect() != .plainLines {
            tell(makeLogger(level: "critical"), .serviceFailed, "cannot start", reason)
        } else {
            Self.say(lines: reason)
        }
        return .configuration
    }

    private static func say(lines: String) {
        for line in lines.split(separator: "\n") { say("sluiced: \(line)") }
    }

    private static func say(_ line: String) {
        let text = "\(line)\n"
        _ = write(STDERR_FILENO, text, text.utf8.count)
    }

    private func makeLogger(level: String) -> Logger {
        let destination = LogDestination.detect()
        var logger = Logger(label: "sluiced") { _ in
            JournalLogHandler(
                identifier: "sluiced", destination: destination,
                droppedMessageID: MessageID.messagesDropped.rawValue)
        }
        logger.logLevel = Logger.Level(rawValue: level) ?? .info
        return logger
    }

    private func socketPath(_ settings: Settings) -> String {
        if let path = socket ?? settings.socket { return path }
        guard geteuid() != 0, let directory = getenv("XDG_RUNTIME_DIR") else { return SocketPath.system }
        return SocketPath.user(runtimeDirectory: String(cString: directory))
    }

    /// The directory for state that must outlive the service (`StateDirectory=`); the first, if the unit has several.
    private func stateDirectory() -> String? {
        guard let list = getenv("STATE_DIRECTORY") else { return nil }
        return String(cString: list).split(separator: ":").first.map(String.init)
    }

    /// The directory in which the service manager has put credentials.
    private func credentialsDirectory() -> String? {
        getenv("CREDENTIALS_DIRECTORY").map { String(cString: $0) }
    }

    private func laneExecutable() throws -> String {
        let candidates = lane.map { [$0] } ?? LaneLocation.candidates()
        guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw failure(
                "there is no sluice-lane at \(candidates.joined(separator: " or ")): name it with --lane")
        }
        return found
    }

    private func laneEnvironment() throws -> [String] {
        do {
            return try LaneEnvironment.make(credentials: credentialsDirectory())
        } catch {
            throw failure(error.description)
        }
    }

    /// Raises the soft limit of open files to the hard limit. Each job needs several descriptors, and the usual soft
    /// limit of 1,024 exists only for programs that use select(2).
    private func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}

/// Exit statuses of sysexits.h, which the service manager shows by name.
extension ExitCode {
    /// EX_UNAVAILABLE
    fileprivate static let unavailable = ExitCode(69)
    /// EX_CONFIG
    fileprivate static let configuration = ExitCode(78)
}
