public import ArgumentParser
internal import Glibc
internal import SluiceClient
public import SluiceInterface
internal import Unix

/// Selects jobs: the options of `list` and `cancel`.
struct SelectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Only jobs of this user.",
            discussion: "A name or a number. Only root sees the jobs of other users.",
            valueName: "name"), completion: .shellCommand("getent passwd | cut -d: -f1")) var user: String?

    /// Reports an unknown user name together with the command's usage.
    func validate() throws { _ = try userID() }

    /// The user's id.
    ///
    /// - Throws: `ValidationError` where there is no such user.
    func userID() throws -> Int? {
        guard let user else { return nil }
        if let number = UInt32(user) { return Int(number) }
        guard let entry = getpwnam(user) else {
            throw ValidationError(
                "there is no user “\(Terminal.printable(user))”: give a name of passwd(5), or a number")
        }
        return Int(entry.pointee.pw_uid)
    }
}

extension JobState: ExpressibleByArgument {}

/// `sluicectl list`
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List your jobs, the oldest first: running ones, and recent ended ones.",
        discussion: "Root sees the jobs of all users. With --json it is an array of jobs, on one line.")

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var selection: SelectionOptions
    @Option(
        help: ArgumentHelp(
            "Only jobs in this state.", discussion: "May be given several times.", valueName: "state"),
        completion: .list(JobState.allCases.map(\.rawValue))) var state: [JobState] = []
    @Option(help: ArgumentHelp("Maximum number of jobs.", valueName: "number")) var limit: Int?

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit \(limit) lists nothing: give 1 or more") }
    }

    func run() throws {
        let jobs = try service.finder.connect().list(
            userID: selection.userID(), states: state.isEmpty ? nil : state, limit: limit)
        if output.json { return try Console.writeJSON(jobs) }
        guard !jobs.isEmpty else { return try Console.write("no jobs\n") }
        let width = Terminal(STDOUT_FILENO, environment: [:])?.width
        // Only a user who sees the jobs of other users needs a column for them.
        let names = geteuid() == 0 ? UserNames() : nil
        try Console.write(
            JobTable.render(
                jobs, nowUsec: Realtime.microseconds(), width: width, userName: names.map { $0.name }))
    }
}

/// Names of users, each looked up once.
final class UserNames {
    private var known: [Int: String] = [:]

    /// The name, or the number where there is none.
    func name(_ userID: Int) -> String {
        if let name = known[userID] { return name }
        let entry = uid_t(exactly: userID).flatMap { getpwuid($0) }
        let name = entry.map { String(cString: $0.pointee.pw_name) } ?? String(userID)
        known[userID] = name
        return name
    }
}
