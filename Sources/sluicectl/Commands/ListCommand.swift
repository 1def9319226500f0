import ArgumentParser
import Glibc
import SluiceClient

/// `sluicectl list`
struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List your jobs, the oldest first: running ones, and recent ended ones.",
        discussion: "With --json it is an array of jobs, on one line.")

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let jobs = try service.finder.connect().list()
        if output.json { return try Console.writeJSON(jobs) }
        guard !jobs.isEmpty else { return try Console.write("no jobs\n") }
        let width = Terminal(STDOUT_FILENO, environment: [:])?.width
        try Console.write(JobTable.render(jobs, nowUsec: Console.nowUsec, width: width))
    }
}
