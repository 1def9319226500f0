internal import Glibc
internal import SystemPackage
internal import Unix

/// A `sluiced` process of the caller's own, for programs that need a body where no service runs.
///
/// It runs in a session of its own, so that a terminal's Ctrl-C reaches only the client. Its descriptor 3 is one end
/// of a socket pair. The process writes one byte there once it listens, and ends when the other end is closed. The
/// kernel closes that end however the client ends.
///
/// ## Concurrency model
/// Nothing changes after `init`. Any thread may call `stop`, also more than once.
public final class PrivateService: Sendable {
    /// Maximum time of a start, in milliseconds.
    static let startLimit: Int32 = 10_000
    /// Maximum time of a stop, in milliseconds. After that the process is killed.
    static let stopLimit: Int32 = 2000

    /// The path where it listens, in a directory that only this user can enter.
    public let path: String
    /// For messages to users.
    public var processID: Int32 { process.processID }
    private let directory: String
    private let lifeline: OwnedDescriptor
    private let process: SpawnedProcess

    /// Starts a service and waits until it listens.
    ///
    /// - Parameters:
    ///   - executable: the path of `sluiced`; see `ServiceExecutable`.
    ///   - environment: the environment of the process (proxies are set there). Variables that a service manager set
    ///     for this process are removed. `XDG_RUNTIME_DIR` says where the socket's directory is made, else `/tmp`.
    ///   - standardError: a descriptor for its messages; -1 for none.
    /// - Throws: `.noService` where it does not start, `.local`.
    public init(
        executable: String, environment: [String: String], standardError: Int32 = -1
    ) throws(SluiceError) {
        directory = try Self.makeDirectory(environment)
        path = "\(directory)/io.sluice.Ingest"
        do {
            var pair = try UnixSocket.streamPair()
            lifeline = pair.first
            process = try SpawnedProcess(
                path: executable, arguments: ["--private", "--socket", path],
                environment: Self.environment(from: environment), standardError: standardError,
                control: pair.second.rawValue, newSession: true)
            // This process must close its copy of that end, or it would not see the service's end.
            pair.second = OwnedDescriptor(adopting: -1)
        } catch {
            rmdir(directory)
            throw SluiceError(
                .noService, "no service runs, and none can be started: \(executable): \(error)",
                remedy: "check the installation, or name another with SLUICED")
        }
        guard isReady() else {
            // The service's end of the lifeline closes a little before the process can be reaped.
            let exit = try? process.wait(milliseconds: 1000)
            stop()
            throw SluiceError(
                .noService,
                "no service runs, and \(executable) does not start: "
                    + (exit.map { "\($0)" } ?? "it does not answer"),
                remedy: "use --verbose to see its messages")
        }
    }

    /// Ends the process, waits for its end, and removes its directory.
    public func stop() {
        // This shuts the socket down and does not close it, so that any thread may call `stop`. The other end sees
        // the same end of file.
        shutdown(lifeline.rawValue, Int32(SHUT_RDWR))
        if (try? process.wait(milliseconds: Self.stopLimit)) == nil {
            process.signal(SIGKILL)
            _ = try? process.wait()
        }
        removeDirectory()
    }

    /// Removes the directory without waiting for the end of the process, for an exit that must not wait.
    package func removeDirectory() {
        unlink(path)
        rmdir(directory)
    }

    private func isReady() -> Bool {
        var entry = pollfd(fd: lifeline.rawValue, events: Int16(POLLIN), revents: 0)
        let deadline = ContinuousClock.now + .milliseconds(Self.startLimit)
        while ContinuousClock.now < deadline {
            let ready = poll(&entry, 1, Self.startLimit)
            if ready < 0, errno == EINTR { continue }
            var byte: UInt8 = 0
            return ready == 1 && read(lifeline.rawValue, &byte, 1) == 1
        }
        return false
    }

    private static func makeDirectory(_ environment: [String: String]) throws(SluiceError) -> String {
        var failure = Errno.noSuchFileOrDirectory
        // The names below need 40 bytes, and the path of a socket can have at most 107.
        let runtime = environment["XDG_RUNTIME_DIR"].flatMap { $0.isEmpty || $0.utf8.count > 67 ? nil : $0 }
        for parent in [runtime, "/tmp"].compactMap({ $0 }) {
            var template = Array("\(parent)/sluicectl-XXXXXX".utf8CString)
            if mkdtemp(&template) != nil {
                return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            }
            failure = Errno(rawValue: errno)
        }
        throw SluiceError(.local, "no directory can be made in /tmp for a service's socket: \(failure)")
    }

    /// The environment without the variables that were meant only for this process (`sd_notify(3)`,
    /// `sd_listen_fds(3)`, credentials of `systemd.exec(5)`).
    static func environment(from environment: [String: String]) -> [String] {
        let ours: Set = [
            "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
            "CREDENTIALS_DIRECTORY", ServiceFinder.variable,
        ]
        return environment.filter { !ours.contains($0.key) }.map { "\($0.key)=\($0.value)" }.sorted()
    }
}
