import ArgumentParser
import SluiceClient

/// `sluicectl drain`
struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Make the service finish its jobs and accept no new ones.",
        discussion: """
            For root, or the user that the service runs as. Returns when no job is left, and says meanwhile how many \
            there still are. New jobs are refused as busy until sluicectl undrain, or until the service is started again. \
            Jobs whose consumers do not read never end by themselves: sluicectl cancel --all ends what is left.
            """)

    @OptionGroup var service: ServiceOptions
    @Flag(help: "Return at once; the service continues to drain.") var noWait = false

    func run() throws {
        let connection = try service.finder.connect()
        var left = 0
        try connection.drain { jobs in
            left = jobs
            if !noWait, jobs > 0 { Console.note(jobs == 1 ? "1 job is left" : "\(jobs) jobs are left") }
            return !noWait
        }
        guard left == 0 || noWait else {
            throw SluiceError(.busy, "somebody has had the service accept jobs again (sluicectl undrain)")
        }
        try Console.write(
            left == 0 ? "drained\n" : "draining: \(left == 1 ? "1 job is" : "\(left) jobs are") left\n")
    }
}

/// `sluicectl undrain`
struct UndrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "undrain", abstract: "Make the service accept new jobs again, after drain.",
        discussion: "For root, or the user that the service runs as.")

    @OptionGroup var service: ServiceOptions

    func run() throws {
        try service.finder.connect().undrain()
    }
}
