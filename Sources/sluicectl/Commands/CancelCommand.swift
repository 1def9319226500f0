import ArgumentParser
import SluiceClient
import SluiceInterface
internal import Unix

/// `sluicectl cancel`
struct CancelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End jobs, in whatever state they are.",
        discussion: """
            Returns when they have ended. A job that had ended before stays as it is, which is no error. With --json \
            each job is printed on a line.

            --all ends all of your jobs (root: everybody's), --user those of one user; jobs that come meanwhile are not \
            among them.
            """)

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var selection: SelectionOptions
    @Flag(help: "All jobs that have not ended.") var all = false
    @Argument(help: "The jobs' ids.", completion: JobCompletion.ids(.running)) var ids: [String] = []

    func validate() throws {
        let many = all || selection.user != nil
        if many, !ids.isEmpty {
            throw ValidationError("give ids, or --all or --user: not both")
        }
        if !many, ids.isEmpty {
            throw ValidationError("name the jobs to end: ids, --all or --user")
        }
    }

    func run() throws {
        let connection = try service.finder.connect()
        var ids = ids
        if ids.isEmpty {
            ids = try connection.list(active: true, userID: selection.userID()).map(\.id)
            if ids.isEmpty, !output.json { try Console.write("no jobs\n") }
        }
        var status = ExitStatus.complete
        for id in ids {
            do {
                let job = try connection.cancel(id)
                if output.json {
                    try Console.writeJSON(job)
                } else {
                    try Console.write(JobDetails.line(job, nowUsec: Realtime.microseconds()) + "\n")
                }
            } catch let error as SluiceError where error.kind == .noSuchJob {
                // An error does not keep the other jobs from being cancelled.
                Console.report(error)
                status = error.exitStatus
            }
        }
        if status != .complete { throw ExitCode(status.rawValue) }
    }
}
