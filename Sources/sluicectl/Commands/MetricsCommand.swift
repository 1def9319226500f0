import ArgumentParser
import SluiceClient
import SystemPackage
import Unix

/// `sluicectl metrics`
struct MetricsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "Print the service's numbers for Prometheus.",
        discussion: """
            All users' jobs together: states, outcomes, bytes, times, lanes, limits. The format is OpenMetrics; \
            --format prometheus is for the node exporter's textfile collector and for promtool. With --json it is \
            an array of metrics, on one line.

            With --output the file is replaced as a whole, so that nobody ever reads half of it.
            """)

    @OptionGroup var service: ServiceOptions
    @OptionGroup var output: OutputOptions
    @Flag(help: "Numbers for each user and host, too; for root, and the user that the service runs as.")
    var byName = false
    @Option(help: ArgumentHelp("One of openmetrics and prometheus.", valueName: "format"))
    var format = Format.openmetrics
    @Option(
        name: [.customShort("o", allowingJoined: true), .customLong("output")],
        help: ArgumentHelp("Write to FILE instead of standard output.", valueName: "file"),
        completion: .file())
    var file: String?

    func run() throws {
        let metrics = try service.finder.connect().metrics(byName: byName)
        let text =
            output.json
            ? try JSONText.encode(metrics) + "\n" : try MetricsText.render(metrics, as: format.value)
        guard let path = file else { return try Console.write(text) }
        let file = try OutputFile(path: path)
        do {
            _ = try FileDescriptor(rawValue: file.descriptor.rawValue).writeAll(text.utf8)
        } catch {
            file.discard()
            throw SluiceError(.local, "\(path) cannot be written: \(error)")
        }
        try file.commit()
    }
}

extension MetricsCommand {
    enum Format: String, ExpressibleByArgument, CaseIterable {
        case openmetrics, prometheus

        var value: MetricsFormat {
            switch self {
            case .openmetrics: .openmetrics
            case .prometheus: .prometheus
            }
        }
    }
}
