import ArgumentParser
import FoundationEssentials
import Glibc
import SluiceClient
import SystemPackage

/// `sluicectl top`
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch all of your jobs, live.",
        discussion: """
            Shows the jobs that have not ended: state, rate, progress, what waits in their lanes against the high \
            watermark, and for how long their origins have been made to wait. Root sees the jobs of all users. \
            Rates are measured between the last two samples.

            Keys: s, r, b, a, t sort by state, rate, bytes, age and stalled time; o turns the order round; p or space \
            pauses; + and - change the delay; j, k and the arrows move; h helps; q quits.

            Where the output is no terminal, or with --batch, the jobs are printed as a table again and again, until \
            --iterations or a signal ends it. A service that goes away is looked for.
            """)

    @OptionGroup var service: ServiceOptions
    @Flag(name: .shortAndLong, help: "Print tables instead of taking the terminal over.") var batch = false
    @Option(
        name: [.customShort("n", allowingJoined: true), .long],
        help: ArgumentHelp("Number of samples after which to end.", valueName: "number"))
    var iterations: Int?
    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("Interval between two samples, from 0.1 to 3600.", valueName: "seconds"))
    var delay = 1.0
    @Option(help: ArgumentHelp("One of state, rate, bytes, age and stalled.", valueName: "key"))
    var sort = Sort.rate

    enum Sort: String, ExpressibleByArgument, CaseIterable {
        case state, rate, bytes, age, stalled
    }

    func validate() throws {
        guard TopModel.delays.contains(delay) else {
            throw ValidationError("--delay must be from 0.1 to 3600 seconds.")
        }
        if let iterations, iterations < 1 { throw ValidationError("--iterations must be at least 1.") }
    }

    func run() throws {
        let connection = try service.finder.connect()
        let model = TopModel(
            sort: TopSort(rawValue: sort.rawValue) ?? .rate, delay: delay, at: TopClock.seconds)
        guard !batch, isatty(STDOUT_FILENO) == 1 else { return try printTables(model, connection) }
        do {
            let status = try LiveTop(model, serviceAt: connection.path, limit: iterations).run()
            if status != .complete { throw ExitCode(status.rawValue) }
        } catch let error as Errno {
            throw SluiceError(.local, "the terminal cannot be written to: \(error)")
        }
    }

    private func printTables(_ model: TopModel, _ connection: SluiceConnection) throws {
        var model = model
        var connection = connection
        let patience = try service.patience()
        let width = ProcessInfo.processInfo.environment["COLUMNS"].flatMap(Int.init).flatMap {
            $0 > 0 ? $0 : nil
        }
        var printed = 0
        var isFirst = true
        while true {
            guard let sample = try sample(from: connection) else {
                Console.note("the service has gone away; looking for it")
                connection = try .reconnected(to: connection.path, patience: patience)
                continue
            }
            model.take(sample)
            // There are no rates before the second sample.
            if isFirst {
                isFirst = false
                sleepWhole(.seconds(min(delay, 0.5)))
                continue
            }
            try Console.write((printed > 0 ? "\n" : "") + TopLayout.plain(model, width: width))
            printed += 1
            if printed == iterations { return }
            sleepWhole(.seconds(delay))
        }
    }

    /// - Returns: nil where the service has gone away.
    private func sample(from connection: SluiceConnection) throws(SluiceError) -> TopSample? {
        do {
            return try TopSample.take(from: connection)
        } catch {
            guard error.isConnectionLost || error.isStopping else { throw error }
            return nil
        }
    }
}
