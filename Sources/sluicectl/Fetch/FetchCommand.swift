import ArgumentParser
import FoundationEssentials
import SluiceClient
internal import SluiceCore
import SluiceInterface

/// `sluicectl fetch`: the options, and the request that they make. `FetchRun` does the work.
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
              sluicectl fetch https://example.org/list.csv -o list.csv --etag-file etag

            The exit status is 0 only if the body is complete. With a command it is then the command's own; if the \
            body failed it is one of those below, and the command has seen the end of its input early. A command that \
            stops reading early and fails gets its own status reported, too.

            A service that is restarted meanwhile goes on with the body; what has lost its job before the first byte is \
            fetched again.

            Ctrl-C cancels the job; a second one does not wait for that.

            Exit status:
            \(ExitStatus.table)
            """)

    @OptionGroup var service: ServiceOptions

    @Option(
        name: [.customShort("o", allowingJoined: true), .customLong("output")],
        help: ArgumentHelp(
            "Write to FILE: under another name beside it, until the body is complete. - is standard output.",
            valueName: "file"), completion: .file())
    var output: String?

    @Option(
        name: [.customShort("H", allowingJoined: true), .customLong("header")],
        help: ArgumentHelp("Add a header to the request; may be repeated.", valueName: "name: value"))
    var headers: [String] = []

    @Option(
        help: ArgumentHelp(
            "Number of waiting bytes at which the gate closes: 262144, 256K, 1M.", valueName: "size"))
    var highWatermark: ByteCount?

    @Option(help: ArgumentHelp("Number of waiting bytes at which it opens again.", valueName: "size"))
    var lowWatermark: ByteCount?

    @Option(
        name: [.customLong("deadline"), .customLong("timeout")],
        help: ArgumentHelp(
            "Maximum time of the whole job; --timeout is the older name.", valueName: "seconds"))
    var deadline: Double?

    @Option(
        help: ArgumentHelp(
            "Time until a connection is ready for the request, TLS included.", valueName: "seconds"))
    var connectTimeout: Double?

    @Option(
        help: ArgumentHelp(
            "Time from then on until the response begins, redirects included.", valueName: "seconds"))
    var headTimeout: Double?

    @Option(help: ArgumentHelp("Maximum silence of the origin.", valueName: "seconds"))
    var silenceTimeout: Double?

    /// The former name, until 0.5.0.
    @Option(help: .hidden)
    var stallTimeout: Double?

    @Option(
        name: .customLong("min-speed"),
        help: ArgumentHelp(
            "Minimum speed of the origin, in bytes per second over 30 s: 10K; 0 is no limit.",
            valueName: "rate"))
    var minimumSpeed: ByteCount?

    @Option(help: ArgumentHelp("Fail if the body is larger.", valueName: "size"))
    var maxSize: ByteCount?

    @Option(
        help: ArgumentHelp(
            "How many failures in a row are tolerated, from 0 to 1000.", valueName: "number"))
    var retries: Int?

    @Option(
        help: ArgumentHelp(
            "What the body must have: sha256:HEX or sha512:HEX. The name alone: print it on standard error.",
            valueName: "digest"), completion: .list(["sha256", "sha512"]))
    var digest: String?

    @Option(
        help: ArgumentHelp(
            "Deliver nothing, and exit with \(ExitStatus.unchanged.rawValue), if this version is current.",
            valueName: "etag"))
    var ifNoneMatch: String?

    @Option(
        help: ArgumentHelp(
            "The same with the version in FILE. The version of a complete body is stored there.",
            valueName: "file"), completion: .file())
    var etagFile: String?

    @Flag(help: "Refuse a body with a content coding, such as gzip, instead of delivering it as sent.")
    var identity = false

    @Flag(help: "Follow redirects from https to http, too.")
    var allowDowngrade = false

    @Flag(name: .customLong("http1.1"), help: "Speak HTTP/1.1, for servers whose HTTP/2 is broken.")
    var http1 = false

    @Flag(help: "Accept a body that ended with the connection, complete or not.")
    var acceptUnverified = false

    @Flag(name: .shortAndLong, help: "Print only errors.")
    var quiet = false

    @Flag(help: "Show progress even if standard error is not a terminal.")
    var progress = false

    @Flag(help: "Print the ended job as a line of JSON on standard error instead of messages.")
    var json = false

    @Flag(help: "Show the messages of a private service.")
    var verbose = false

    @Argument(help: "An absolute http or https URL.") var url: String

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("A command that gets the pipe as its standard input.", valueName: "command"),
        completion: .file())
    var command: [String] = []

    func validate() throws {
        for (name, file) in [("output", output), ("etag-file", etagFile)] where file?.isEmpty == true {
            throw ValidationError("--\(name) needs the name of a file.")
        }
        if output != nil, !command.isEmpty {
            throw ValidationError("Give either --output or a command, not both.")
        }
        if quiet, progress { throw ValidationError("Give either --quiet or --progress, not both.") }
        for header in headers where HeaderOption.parse(header) == nil {
            throw ValidationError("“\(header)” is no header: write 'Name: value'.")
        }
        for (name, value) in [
            ("deadline", deadline), ("connect-timeout", connectTimeout), ("head-timeout", headTimeout),
            ("silence-timeout", silenceTimeout), ("stall-timeout", stallTimeout),
        ] {
            if let value, !(value.isFinite && value > 0) {
                throw ValidationError("--\(name) must be a number of seconds above 0.")
            }
        }
        if let retries, !Self.retryRange.contains(retries) {
            throw ValidationError("--retries must be from 0 to 1000.")
        }
        if let digest {
            do {
                _ = try DigestRequest(digest)
            } catch {
                throw ValidationError("--digest: \(error.reason); \(error.remedy).")
            }
        }
        if silenceTimeout != nil, stallTimeout != nil {
            throw ValidationError(
                "--stall-timeout is the former name of --silence-timeout: give only one of them.")
        }
        if ifNoneMatch != nil, etagFile != nil {
            throw ValidationError("Give either --if-none-match or --etag-file, not both.")
        }
        if let etagFile, etagFile == outputPath {
            throw ValidationError("--etag-file and --output name the same file.")
        }
    }

    private static let retryRange = 0...1000

    /// What the user asks about the digest.
    var digestRequest: DigestRequest? { digest.flatMap { try? DigestRequest($0) } }

    /// The file to write to; nil for standard output.
    var outputPath: String? { output == "-" ? nil : output }

    /// The request to the service.
    var request: Ingest.FetchParameters {
        var request = Ingest.FetchParameters(url: url)
        let fields = headers.compactMap(HeaderOption.parse)
        request.headers = fields.isEmpty ? nil : fields
        request.highWatermark = highWatermark?.bytes
        request.lowWatermark = lowWatermark?.bytes
        request.connectTimeoutSeconds = connectTimeout
        request.headTimeoutSeconds = headTimeout
        request.silenceTimeoutSeconds = silenceTimeout
        // An older service knows no other name.
        request.stallTimeoutSeconds = stallTimeout
        request.minimumSpeed = minimumSpeed?.bytes
        request.deadlineSeconds = deadline
        request.maximumSize = maxSize?.bytes
        request.retries = retries
        request.digest = digestRequest?.description
        // An option that is not given is not sent, since an older service does not know it.
        request.identity = identity ? true : nil
        request.allowDowngrade = allowDowngrade ? true : nil
        request.http1 = http1 ? true : nil
        // A script passes on the value that it has, which may be empty.
        request.ifNoneMatch = ifNoneMatch.flatMap { $0.isEmpty ? nil : $0 }
        return request
    }

    func run() throws {
        let run = FetchRun(
            options: self, environment: ProcessInfo.processInfo.environment, interruption: try Interruption())
        let status = try run.run()
        if status != 0 { throw ExitCode(status) }
    }
}
