import ArgumentParser
import SluiceClient
internal import Unix

/// `sluicectl status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the state of the service.")

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        let connection = try service.finder.connect()
        let status = try connection.status()
        if output.json { return try Console.writeJSON(status) }
        try Console.write(
            JobDetails.render(status, socket: connection.path, nowUsec: Realtime.microseconds()))
    }
}
