import ArgumentParser
import FoundationEssentials
import SluiceClient
import SluiceInterface

/// `sluicectl fetch`: the options, and what they mean as a request. `FetchRun` does the work.
struct FetchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Fetch a URL: the body goes to standard output, a file or a command.",
        usage: """
            sluicectl fetch <url> [options]
            sluicectl fetch <url> -o FILE [options]
            sluicectl fetch <url> [options] -- COMMAND ARG…
            """,
        discussion: """
            Examples:

              sluicectl fetch https://example.org/data.csv | head
              sluicectl fetch https://example.org/disk.img -o disk.img
              sluicectl fetch https://example.org/src.tar.gz -- tar xz

            The exit status is 0 only if the body is complete. With a command it is then the command's own; if the \
            body failed it is one of those below, and the command has seen the end of its input early. A command that \
            stops reading early and fails gets its own status reported, too.

            Ctrl-C cancels the job; a second one does not wait for that.

            Exit status:
            \(Sluicectl.exitStatusTable)
            """)

    @OptionGroup var service: ServiceOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp(
            "Write to FILE: under another name beside it, until the body is complete. - is standard output.",
            valueName: "file"))
    var output: String?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        help: ArgumentHelp("Add a header to the request; may be repeated.", valueName: "name: value"))
    var headers: [String] = []

    @Option(help: ArgumentHelp("The gate closes when so much waits: 262144, 256K, 1M.", valueName: "size"))
    var highWatermark: ByteCount?

    @Option(help: ArgumentHelp("It opens again when so much is left.", valueName: "size"))
    var lowWatermark: ByteCount?

    @Option(help: ArgumentHelp("Time for everything.", valueName: "seconds"))
    var timeout: Double?

    @Option(help: ArgumentHelp("Time until the response begins.", valueName: "seconds"))
    var connectTimeout: Double?

    @Option(help: ArgumentHelp("How long the origin may be silent.", valueName: "seconds"))
    var stallTimeout: Double?

    @Option(help: ArgumentHelp("Fail if the body is larger.", valueName: "size"))
    var maxSize: ByteCount?

    @Flag(help: "Take a body that ended with the connection, whole or not.")
    var acceptUnverified = false

    @Flag(name: .shortAndLong, help: "No progress, no notes; errors alone.")
    var quiet = false

    @Flag(help: "Show progress also where standard error is no terminal.")
    var progress = false

    @Flag(help: "Print the ended job as a line of JSON on standard error, in place of other words.")
    var json = false

    @Flag(help: "Show what a private service says.")
    var verbose = false

    @Argument(help: "An absolute http or https URL.") var url: String

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("A command that gets the pipe as its standard input.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        if output != nil, !command.isEmpty {
            throw ValidationError("Give either --output or a command, not both.")
        }
        if quiet, progress { throw ValidationError("Give either --quiet or --progress, not both.") }
        for header in headers where HeaderOption.parse(header) == nil {
            throw ValidationError("“\(header)” is no header: write 'Name: value'.")
        }
        for (name, value) in [
            ("timeout", timeout), ("connect-timeout", connectTimeout), ("stall-timeout", stallTimeout),
        ] {
            if let value, !(value.isFinite && value > 0) {
                throw ValidationError("--\(name) must be a number of seconds above 0.")
            }
        }
    }

    /// The file to write to; nil for standard output.
    var outputPath: String? { output == "-" ? nil : output }

    /// What the service is asked for.
    var request: Ingest.FetchParameters {
        var request = Ingest.FetchParameters(url: url)
        let fields = headers.compactMap(HeaderOption.parse)
        request.headers = fields.isEmpty ? nil : fields
        request.highWatermark = highWatermark?.bytes
        request.lowWatermark = lowWatermark?.bytes
        request.connectTimeoutSeconds = connectTimeout
        request.stallTimeoutSeconds = stallTimeout
        request.deadlineSeconds = timeout
        request.maximumSize = maxSize?.bytes
        return request
    }

    func run() throws {
        let run = FetchRun(
            options: self, environment: ProcessInfo.processInfo.environment, interruption: try Interruption())
        let status = try run.run()
        if status != 0 { throw ExitCode(status) }
    }
}
