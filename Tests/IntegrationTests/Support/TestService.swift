import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix
import Varlink

/// All tests that run the real programs, one after the other, since several of them measure.
@Suite("Integration", .serialized)
struct Integration {}

/// A `sluiced` for one test, with new settings and a new socket. It ends with this value.
///
/// It is started with `--private`, so it also ends when the test process does, however that ends.
final class TestService: Sendable {
    struct Options: Sendable {
        /// Lines of TOML.
        var settings = ""
        /// Whether it runs as nobody, without any privilege, as the service does under systemd.
        var unprivileged = false
        /// The CA file that its lanes trust instead of the system's file.
        var authority: String?
        /// A file, and the path of the machine's file that the service sees it at.
        var replacing: (file: String, place: String)?
        /// Maximum number of failed attempts of a job: none, unless the test is about them. Not used where `settings`
        /// contains retries.
        var retries = 0
        /// Arguments for sluiced, in addition to the socket and the settings.
        var arguments: [String] = []
        /// Added to its environment.
        var environment: [String: String] = [:]
    }

    static let nobody: UInt32 = 65534

    let directory: TemporaryDirectory
    let program: Program
    let socket: String
    let configuration: String
    private let lifeline: OwnedDescriptor

    convenience init(_ settings: String = "", authority: String? = nil, unprivileged: Bool = false) throws {
        try self.init(Options(settings: settings, unprivileged: unprivileged, authority: authority))
    }

    init(_ options: Options) throws {
        directory = try TemporaryDirectory("sluice-it")
        let run = try directory.makeDirectory("run")
        socket = "\(run)/socket"
        let retries =
            options.settings.contains("retries") ? "" : "retries.retries = \(options.retries)\n"
        // As a service of the system has one. A private one, which has none otherwise, does not need systemd.
        let nursery = options.settings.contains("lanes.nursery") ? "" : "lanes.nursery = \"always\"\n"
        configuration = try directory.write(retries + nursery + options.settings, to: "sluiced.toml")
        var command = try Self.command(
            [
                "--socket", socket, "--config", configuration, "--private",
            ] + options.arguments)
        if options.unprivileged {
            guard chown(run, Self.nobody, Self.nobody) == 0 else { throw Errno(rawValue: errno) }
            command =
                [
                    "/usr/bin/setpriv", "--reuid=\(Self.nobody)", "--regid=\(Self.nobody)", "--clear-groups",
                    "--inh-caps=-all", "--no-new-privs",
                ] + command
        }
        if let authority = options.authority {
            let trusting = try Trust.command(command[0], Array(command.dropFirst()), authority: authority)
            command = [trusting.path] + trusting.arguments
        }
        if let (file, place) = options.replacing {
            let other = try Trust.command(command[0], Array(command.dropFirst()), with: file, over: place)
            command = [other.path] + other.arguments
        }
        let pair = try UnixSocket.streamPair()
        program = try Program(
            command[0], Array(command.dropFirst()),
            environment: Self.environment().merging(options.environment) { $1 },
            control: pair.second.rawValue)
        lifeline = try pair.first.duplicate()
        try awaitReady()
        // Every user may connect. The service finds out who the user is.
        chmod(socket, 0o666)
    }

    deinit { stop() }

    /// The program and its arguments.
    static func command(_ arguments: [String]) throws -> [String] {
        [try Products.path("sluiced")] + arguments
    }

    /// The test's own environment, without proxies and without the variables of a service manager.
    static func environment() -> [String: String] {
        Program.inheritedEnvironment().filter { name, _ in
            !name.lowercased().hasSuffix("_proxy") && !name.hasPrefix("LISTEN_") && name != "NOTIFY_SOCKET"
                && name != "JOURNAL_STREAM"
        }
    }

    /// The daemon's process.
    var processID: Int32 { program.processID }

    /// Everything that it has logged so far.
    var log: String { program.errors }

    /// Ends it as the end of a client would, and waits. May be called twice.
    func stop() {
        shutdown(lifeline.rawValue, CInt(SHUT_RDWR))
        _ = try? program.wait()
    }

    private func awaitReady() throws {
        var byte: UInt8 = 0
        guard waitFor(CInt(POLLIN), on: lifeline.rawValue, until: Deadline()),
            recv(lifeline.rawValue, &byte, 1, 0) == 1
        else { throw TestFailure("sluiced did not become ready: \(log)") }
    }

    // MARK: Calls

    /// A new connection.
    func client() throws -> VarlinkClient { try VarlinkClient(connectedTo: socket) }

    /// Calls a method on a connection of its own.
    func call<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), as type: Reply.Type,
        within duration: Duration = Deadline.usual
    ) throws -> Reply {
        try client().call(
            "\(Ingest.interfaceName).\(method)", parameters, as: type,
            deadline: Deadline.ofCall(duration))
    }

    func status() throws -> Ingest.StatusReply { try call("Status", as: Ingest.StatusReply.self) }

    func show(_ id: String) throws -> Job {
        try call("Show", Ingest.JobParameters(id: id), as: Ingest.JobReply.self).job
    }

    func cancel(_ id: String, within duration: Duration = Deadline.usual) throws -> Job {
        try call("Cancel", Ingest.JobParameters(id: id), as: Ingest.JobReply.self, within: duration).job
    }

    func wait(_ id: String, within duration: Duration = Deadline.long) throws -> Job {
        try call("Wait", Ingest.JobParameters(id: id), as: Ingest.JobReply.self, within: duration).job
    }

    /// Asks for a body and gets the pipe.
    func open(
        _ url: String, _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws -> (id: String, body: CInt) {
        var parameters = Ingest.FetchParameters(url: url)
        change(&parameters)
        let reply = try client().callWithDescriptors(
            "\(Ingest.interfaceName).Fetch", parameters, deadline: Deadline.ofCall)
        let fetch = try reply.decode(as: Ingest.FetchReply.self)
        guard let index = fetch.bodyFileDescriptor, let body = reply.takeDescriptor(index) else {
            throw TestFailure("a reply without a pipe")
        }
        return (fetch.id, body.release())
    }

    /// Asks for a body and begins to read it.
    func fetch(
        _ url: String, expecting pattern: Pattern? = Pattern(), pace: ThreadedReader.Pace = .full,
        hashing: Bool = false, _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws -> TestJob {
        let job = try open(url, change)
        return TestJob(
            id: job.id,
            reader: try ThreadedReader(
                OwnedDescriptor(adopting: job.body), expecting: pattern, pace: pace, hashing: hashing),
            service: self)
    }
}
