import ArgumentParser
import Glibc
import SluiceClient
import SluiceInterface

/// `sluicectl(1)`: parses the command line, runs a subcommand and reports its result.
@main
struct Sluicectl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluicectl",
        abstract: "Fetch URLs through Sluice: the body flows through a pipe as fast as it is read.",
        usage: """
            sluicectl fetch <url> [> FILE | -o FILE | -- COMMAND ARG…]
            sluicectl list | show ID | watch [ID] | wait ID | cancel ID… | logs ID
            sluicectl top | status | metrics
            sluicectl drain | undrain
            """,
        discussion: """
            Start with:

              sluicectl fetch https://example.org/big.tar | tar x

            The service is looked for at --socket or $\(ServiceFinder.variable), else at \(SocketPath.system), else at \
            $XDG_RUNTIME_DIR/sluice/io.sluice.Ingest. Where none listens, fetch starts one for itself.

            Exit status:
            \(ExitStatus.table)
            """,
        version: "sluicectl \(SluiceVersion.current)",
        subcommands: [
            FetchCommand.self, ListCommand.self, ShowCommand.self, WatchCommand.self, WaitCommand.self,
            CancelCommand.self, LogsCommand.self, TopCommand.self, StatusCommand.self, MetricsCommand.self,
            DrainCommand.self, UndrainCommand.self,
        ])

    static func main() {
        StandardDescriptors.fill()
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot(
                OptionOrder.subcommandFirst(
                    Array(CommandLine.arguments.dropFirst()),
                    of: Set(configuration.subcommands.compactMap { $0.configuration.commandName })))
            try command.run()
        } catch let error as SluiceError {
            Console.report(error)
            Glibc.exit(error.exitStatus.rawValue)
        } catch  where exitCode(for: error).rawValue == ExitStatus.usage.rawValue {
            // The library's own prefix does not name the program.
            let text = fullMessage(for: error)
            Console.line(text.hasPrefix("Error: ") ? "sluicectl: \(text.dropFirst(7))" : text)
            Glibc.exit(ExitStatus.usage.rawValue)
        } catch {
            exit(withError: error)
        }
    }
}
