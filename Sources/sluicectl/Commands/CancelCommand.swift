import ArgumentParser
import SluiceClient

/// `sluicectl cancel`
struct CancelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "End jobs, in whatever state they are.",
        discussion: """
            Returns when they have ended. A job that had ended before stays as it is, which is no error. With --json \
            each job is printed on a line.
            """)

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The jobs' ids.", completion: JobCompletion.ids(.running)) var ids: [String]

    func run() throws {
        let connection = try service.finder.connect()
        var status = ExitStatus.complete
        for id in ids {
            do {
                let job = try connection.cancel(id)
                if output.json {
                    try Console.writeJSON(job)
                } else {
                    try Console.write(JobDetails.line(job, nowUsec: Console.nowUsec) + "\n")
                }
            } catch let error as SluiceError where error.kind == .noSuchJob {
                // The others are ended all the same.
                Console.report(error)
                status = error.exitStatus
            }
        }
        if status != .complete { throw ExitCode(status.rawValue) }
    }
}
