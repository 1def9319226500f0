internal import SluiceInterface
internal import SystemPackage
internal import Varlink

/// An error outside a job's outcome: a kind, a sentence and a remedy.
///
/// A job that fails is not an error of this type: the job's `Outcome` describes it.
public struct SluiceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of error, for programs.
    public enum Kind: Sendable, Equatable, CaseIterable {
        /// No service listens at the path.
        case noService
        /// This user may not use the socket.
        case permissionDenied
        /// The service does not accept the request.
        case refused
        /// No job of this user has the id.
        case noSuchJob
        /// A limit of the service is reached, or it is stopping.
        case busy
        /// The service went away, is too slow to answer, or sends an answer that cannot be understood.
        case serviceTrouble
        /// An error on this side: a file, a descriptor, a thread.
        case local
        /// The command that should get the body was not found.
        case commandNotFound
        /// The command that should get the body cannot be run.
        case commandNotRunnable

        /// The exit status with which `sluicectl` reports it.
        public var exitStatus: ExitStatus {
            switch self {
            case .noService: .noService
            case .permissionDenied: .permissionDenied
            case .refused: .refused
            case .noSuchJob: .noSuchJob
            case .busy: .busy
            case .serviceTrouble: .serviceTrouble
            case .local: .local
            case .commandNotFound: .commandNotFound
            case .commandNotRunnable: .commandNotRunnable
            }
        }
    }

    /// The kind, for programs.
    public var kind: Kind
    /// What happened; one line, no full stop.
    public var message: String
    /// What to do about it; one line, or nil.
    public var remedy: String?
    /// Whether the connection ended. The caller may ask again on a new one.
    public var isConnectionLost = false
    /// Whether the service is stopping. It may come back soon, with its jobs.
    public var isStopping = false
    /// Whether the service itself sent this error.
    public var isAnswer = false
    /// Whether a restarted service does not know the job that the service had before.
    public var isJobForgotten = false

    /// Creates an error from its fields.
    public init(_ kind: Kind, _ message: String, remedy: String? = nil) {
        self.kind = kind
        self.message = message
        self.remedy = remedy
    }

    /// The exit status with which `sluicectl` reports it.
    public var exitStatus: ExitStatus { kind.exitStatus }

    /// Whether the error may pass while a service is restarting: for a moment its socket or the socket's directory
    /// does not exist, or not every user may use it yet.
    var mayPass: Bool {
        isConnectionLost || kind == .noService || kind == .busy || (kind == .permissionDenied && !isAnswer)
    }

    /// The sentence and the remedy in one line.
    public var description: String {
        remedy.map { "\(message); \($0)" } ?? message
    }
}

extension SluiceError {
    /// What a failed call means for a user.
    init(_ error: VarlinkClientError) {
        switch error {
        case .error(let name, let parameters):
            self.init(errorReply: name, parameters)
            isAnswer = true
        case .disconnected:
            self.init(
                .serviceTrouble, "the service closed the connection before it answered",
                remedy: "look into its journal (journalctl -u sluiced), and try again")
            isConnectionLost = true
        case .system(.connectionReset), .system(.brokenPipe):
            self.init(VarlinkClientError.disconnected)
        case .timedOut:
            self.init(
                .serviceTrouble, "the service did not answer in time",
                remedy: "see whether it hangs (systemctl status sluiced)")
        case .protocolViolation(let reason):
            self.init(
                .serviceTrouble, "the answer is not that of the expected service: \(reason)",
                remedy: "check the path of the socket, and whether both are of one version")
        case .cannotConnect(let path, let errno):
            self.init(cannotConnectTo: path, errno)
        case .system(let errno):
            self.init(.local, "the connection to the service failed: \(errno)")
        case .invalidParameters(let reason):
            self.init(.refused, "the request cannot be sent: \(reason)")
        }
    }

    /// The error for a path that could not be connected to.
    init(cannotConnectTo path: String, _ errno: Errno) {
        switch errno {
        case .noSuchFileOrDirectory:
            self.init(
                .noService, "no service at \(path): there is no such socket",
                remedy: "start one there (sluiced --socket PATH), or check the path")
        case .connectionRefused:
            self.init(
                .noService,
                "no service at \(path): the socket file is there, but no process serves it any more",
                remedy: "start the service again")
        case .permissionDenied, .notPermitted:
            self.init(
                .permissionDenied, "you may not use the service at \(path)",
                remedy: path == SocketPath.system
                    ? "have yourself added to the group sluice (usermod -aG sluice NAME), and log in again"
                    : "ask the user who runs it")
        case .fileNameTooLong:
            self.init(
                .noService, "\(path) is too long for the path of a socket",
                remedy: "choose one of at most 107 bytes")
        default:
            self.init(.noService, "cannot connect to \(path): \(errno)")
        }
    }

    private init(errorReply name: String, _ parameters: JSONValue) {
        func text(_ field: String) -> String { parameters[field]?.stringValue ?? "?" }
        func limit() -> String { parameters["limit"]?.integerValue.map { " (\($0))" } ?? "" }
        switch name {
        case "\(Ingest.interfaceName).NoSuchJob":
            self.init(
                .noSuchJob, "no job of yours has the id \(text("id"))",
                remedy: "sluicectl list shows your jobs; the service forgets old ones")
        case "\(Ingest.interfaceName).InvalidRequest":
            self.init(
                .refused, "\(text("parameter")): \(text("reason"))",
                remedy: parameters["remedy"]?.stringValue)
        case "\(Ingest.interfaceName).TooManyJobs":
            self.init(
                .busy, "you, or all users together, have as many jobs as there may be\(limit())",
                remedy: "wait for some to end, or cancel some (sluicectl list)")
        case "\(Ingest.interfaceName).TooManyWatchers":
            self.init(
                .busy, "you have the maximum number of watches for one user\(limit())",
                remedy: "end some of them: every sluicectl watch and every progress display counts")
        case "\(Ingest.interfaceName).TooManyConnections":
            self.init(
                .busy, "you, or all users together, have as many connections as there may be\(limit())",
                remedy: "try again later")
        case "\(Ingest.interfaceName).ResourcesExhausted":
            self.init(
                .busy, "the service is short of something: \(text("reason"))", remedy: "try again later")
        case "\(Ingest.interfaceName).NotAllowed":
            self.init(
                .permissionDenied, "the service's settings do not allow you to use it",
                remedy: "ask the administrator: service.access, [users] and [groups] of the settings decide")
        case "\(Ingest.interfaceName).Draining":
            self.init(
                .busy, "the service accepts no new jobs for now",
                remedy: "try again later, or ask the administrator (sluicectl undrain)")
        case "\(Ingest.interfaceName).Stopping":
            self.init(.busy, "the service is stopping", remedy: "try again once it runs")
            isStopping = true
        case "org.varlink.service.InvalidParameter":
            self.init(.refused, "the service does not accept the parameter \(text("parameter"))")
        case "org.varlink.service.PermissionDenied":
            self.init(
                .permissionDenied, "the service does not allow it",
                remedy: "only root may, and the user that the service runs as")
        case "org.varlink.service.InterfaceNotFound", "org.varlink.service.MethodNotFound",
            "org.varlink.service.MethodNotImplemented":
            self.init(
                .serviceTrouble, "what answers does not know \(Ingest.interfaceName) as this client does",
                remedy: "check the path of the socket, and whether both are of one version")
        default:
            self.init(
                .serviceTrouble, "the service answered with \(name)",
                remedy: "look into its journal (journalctl -u sluiced)")
        }
    }
}
