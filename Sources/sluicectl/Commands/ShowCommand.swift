import ArgumentParser
import SluiceClient
internal import Unix

/// `sluicectl show`
struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show everything that is known about a job.")

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The job's id.", completion: JobCompletion.ids(.all)) var id: String

    func run() throws {
        let job = try service.finder.connect().show(id)
        if output.json { return try Console.writeJSON(job) }
        try Console.write(JobDetails.render(job, nowUsec: Realtime.microseconds()))
    }
}
