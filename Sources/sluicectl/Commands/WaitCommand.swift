import ArgumentParser
import SluiceClient
import SluiceInterface
internal import Unix

/// `sluicectl wait`
struct WaitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait", abstract: "Wait for a job to end and report its outcome.",
        discussion: """
            The exit status is the one that fetch would have given. A service that goes away is looked for: after a \
            restart it is asked again.
            """)

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Exit with 0 even if the body ended with the connection and may be incomplete.")
    var acceptUnverified = false
    @Argument(help: "The job's id.", completion: JobCompletion.ids(.all)) var id: String

    func run() throws {
        let patience = try service.patience()
        let job = try OutcomeWaiter(for: id, on: try service.finder.connect(), patience: patience).wait()
        guard let outcome = job.outcome else {
            throw SluiceError(.serviceTrouble, "job \(id) has ended, but the service reports no outcome")
        }
        if output.json {
            try Console.writeJSON(job)
        } else {
            try Console.write(JobDetails.line(job, nowUsec: Realtime.microseconds()) + "\n")
        }
        let status = ExitStatus(of: outcome.code, acceptsUnverified: acceptUnverified)
        guard status != .complete else { return }
        if !output.json { Console.report(outcome) }
        throw ExitCode(status.rawValue)
    }
}
