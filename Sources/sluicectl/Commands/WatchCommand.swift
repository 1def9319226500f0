import ArgumentParser
import SluiceClient
internal import Unix

/// `sluicectl watch`
struct WatchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Watch a job until it ends, or all of your jobs.",
        discussion: """
            Prints a line at every change of state and, while bytes flow, every --interval seconds. The exit status \
            does not tell how the job ended: see wait. A service that goes away is looked for: after a restart the \
            watch goes on.
            """)

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @Option(
        help: ArgumentHelp(
            "Minimum interval between two progress lines, from 0.1 to 3600.", valueName: "seconds"))
    var interval = 1.0
    @Argument(help: "The job's id; without one, all of your jobs.", completion: JobCompletion.ids(.running))
    var id: String?

    func validate() throws {
        guard (0.1...3600).contains(interval) else {
            throw ValidationError("--interval must be from 0.1 to 3600 seconds.")
        }
    }

    func run() throws {
        let follower = try JobFollower(
            id, interval: interval, on: try service.finder.connect(), patience: try service.patience(),
            onLoss: { Console.note("the service has gone away; looking for it") })
        while let job = try follower.next() {
            if output.json {
                try Console.writeJSON(job)
            } else {
                try Console.write(JobDetails.line(job, nowUsec: Realtime.microseconds()) + "\n")
            }
        }
    }
}
