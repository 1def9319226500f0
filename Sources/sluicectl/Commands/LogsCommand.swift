import ArgumentParser
import FoundationEssentials
import Glibc
import SluiceClient
import SystemPackage

/// `sluicectl logs`
struct LogsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Show the journal's entries about a job.",
        discussion: """
            Runs journalctl(1), and so ends with its exit status. Whoever may read the system's journal sees every \
            job there; the service need not run. A service whose socket is the user's own is looked for in the user's \
            journal. Who may not read the journal is told what the service remembers of a job of their own.
            """)

    @OptionGroup var service: ServiceOptions
    @Flag(name: .shortAndLong, help: "Continue with new entries until interrupted.") var follow = false
    @Flag(name: [.customShort("x"), .customLong("catalog")], help: "Explain entries, and say what to do.")
    var catalog = false
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "How entries are shown: short, verbose, json, cat, … (journalctl -o).", valueName: "format"),
        completion: .list(["short", "short-iso", "verbose", "json", "json-pretty", "cat"]))
    var output: String?
    @Option(
        name: [.customShort("n", allowingJoined: true), .long],
        help: ArgumentHelp("Number of latest entries.", valueName: "number"))
    var lines: Int?
    @Option(help: ArgumentHelp("The service's unit.", valueName: "name")) var unit = JournalQuery.unit
    @Flag(help: "The unit is one of the user's own service manager.") var user = false
    @Argument(help: "The job's id.", completion: JobCompletion.ids(.all)) var id: String

    func validate() throws {
        if let lines, lines < 0 { throw ValidationError("--lines must not be negative.") }
    }

    func run() throws {
        let manager =
            user
            ? .user
            : JournalQuery.manager(
                of: service.finder,
                runtimeDirectory: ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"],
                exists: { access($0, F_OK) == 0 })
        var query = try JournalQuery(id, manager: manager, unit: unit)
        query.follows = follow
        query.explains = catalog
        query.output = output
        query.lines = lines
        do {
            try JournalAccess.check(manager, userID: geteuid(), machine: JournalAccess.machineID())
        } catch {
            // The other options are those of journalctl.
            guard !follow, !catalog, output == nil, let story = rememberedStory() else { throw error }
            for line in story.suffix(lines ?? story.count) { try Console.write(line + "\n") }
            return Console.note("this is what the service remembers: you may not read the journal")
        }
        throw execute(query.arguments)
    }

    /// What the service remembers about the job; nil where there is no service, or the user has no such job.
    private func rememberedStory() -> [String]? {
        (try? service.finder.connect().show(id)).map(JobStory.lines)
    }

    /// Replaces this process by journalctl.
    ///
    /// - Returns: why that failed.
    private func execute(_ arguments: [String]) -> SluiceError {
        // An ignored signal would stay ignored, and `journalctl | head` would not end.
        signal(SIGPIPE, SIG_DFL)
        var vector = (["journalctl"] + arguments).map { strdup($0) }
        vector.append(nil)
        execvp("journalctl", vector)
        let error = Errno(rawValue: errno)
        for pointer in vector { free(pointer) }
        guard error == .noSuchFileOrDirectory else {
            return SluiceError(.local, "journalctl cannot be run: \(error)")
        }
        return SluiceError(
            .local, "there is no journalctl: this machine has no systemd, or it is not in PATH",
            remedy: "look where the service's standard error goes")
    }
}
