import ArgumentParser
import FoundationEssentials
import SluiceClient

/// The service's socket, an option of every subcommand.
struct ServiceOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The service's socket; else $\(ServiceFinder.variable), else the system's, else the user's own.",
            valueName: "path"), completion: .file())
    var socket: String?

    var finder: ServiceFinder {
        ServiceFinder(explicit: socket, environment: ProcessInfo.processInfo.environment)
    }

    /// How long to look for a service that has gone away.
    func patience() throws(SluiceError) -> Duration {
        try Patience.duration(ProcessInfo.processInfo.environment)
    }
}

/// `--json`, for subcommands that print data.
struct OutputOptions: ParsableArguments {
    @Flag(name: .long, help: "Print JSON, with the fields of io.sluice.Ingest.")
    var json = false
}
