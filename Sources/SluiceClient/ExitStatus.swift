public import SluiceInterface

/// The exit statuses of `sluicectl`. The numbers never change, since scripts rely on them.
///
/// 0 means a complete body and nothing else. A status from 10 on says how a job ended; one below 10 says that there
/// was no job.
public enum ExitStatus: Int32, Sendable, CaseIterable {
    /// The body is complete, and everything else that was asked for was done.
    case complete = 0
    /// An error on the client's side.
    case local = 1
    /// The service does not accept the request.
    case refused = 2
    /// No service listens.
    case noService = 3
    /// This user may not use the service's socket, or read the journal.
    case permissionDenied = 4
    /// No job of this user has the id.
    case noSuchJob = 5
    /// A limit of the service is reached.
    case busy = 6
    /// The origin sent no response.
    case noResponse = 10
    /// The response is not accepted.
    case responseNotTaken = 11
    /// The body broke off.
    case brokeOff = 12
    /// The body ended with the connection.
    case unverified = 13
    /// The job was cancelled.
    case cancelled = 14
    /// The output was closed.
    case consumerGone = 15
    /// A limit on size or time, or on how slow the consumer may be, was exceeded.
    case limitReached = 16
    /// The caller already has the current version.
    case unchanged = 17
    /// The body is not the expected one.
    case digestMismatch = 18
    /// The service itself failed.
    case serviceTrouble = 20
    /// The command line is wrong (`EX_USAGE` of `sysexits.h`).
    case usage = 64
    /// The command after `--` cannot be run; the number is that of env(1).
    case commandNotRunnable = 126
    /// The command after `--` was not found; the number is that of env(1).
    case commandNotFound = 127
    /// SIGHUP.
    case hungUp = 129
    /// SIGINT.
    case interrupted = 130
    /// SIGTERM.
    case terminated = 143

    /// A text for the help and the manual; no full stop.
    public var meaning: String {
        switch self {
        case .complete: "the body is complete; for other commands: done"
        case .local: "trouble on this side: the output cannot be written, a file cannot be made"
        case .refused: "the service does not accept the request"
        case .noService: "no service listens"
        case .permissionDenied: "this user may not use the service, make the request, or read the journal"
        case .noSuchJob: "no job of yours has this id"
        case .busy: "the service is at a limit, drains or stops: try again later"
        case .noResponse: "no response: denied, name, connection, proxy, TLS, timeout, or not HTTP"
        case .responseNotTaken: "a response that is not taken: status, redirect, encoding"
        case .brokeOff: "the body broke off; what was delivered is an exact prefix"
        case .unverified: "the body ended with the connection: it may be whole (--accept-unverified)"
        case .cancelled: "the job was cancelled"
        case .consumerGone: "the reader of the output closed it before the end"
        case .limitReached: "a limit: --max-size, --deadline, the service's own, or a reader too slow"
        case .unchanged: "the body is unchanged (--if-none-match, --etag-file): nothing was delivered"
        case .digestMismatch: "the body's digest is not the expected one: do not use it"
        case .serviceTrouble: "the service failed, stopped or went away in the middle"
        case .usage: "the command line is wrong"
        case .commandNotRunnable: "the command after -- cannot be run"
        case .commandNotFound: "the command after -- was not found"
        case .hungUp: "ended by SIGHUP; the job is cancelled"
        case .interrupted: "ended by SIGINT (Ctrl-C); the job is cancelled"
        case .terminated: "ended by SIGTERM; the job is cancelled"
        }
    }

    /// The status for the outcome of a job.
    ///
    /// - Parameter acceptsUnverified: whether a body whose end is not verified counts as complete.
    public init(of code: OutcomeCode, acceptsUnverified: Bool = false) {
        switch code {
        case .complete: self = .complete
        case .completeUnverified: self = acceptsUnverified ? .complete : .unverified
        case .cancelled: self = .cancelled
        case .consumerGone: self = .consumerGone
        case .addressDenied, .nameNotResolved, .connectionRefused, .connectFailed, .connectTimeout,
            .headTimeout,
            .proxyUnreachable, .proxyRefused, .tlsCertificateExpired, .tlsWrongHost, .tlsUntrusted,
            .tlsFailed,
            .protocolError:
            self = .noResponse
        case .httpStatus, .tooManyRedirects, .redirectRefused, .contentEncoded, .unexpectedPartial:
            self = .responseNotTaken
        case .truncated, .connectionLost, .originGaveUp, .silenceTimeout, .tooSlow, .noValidator,
            .weakValidator, .notResumable, .resourceChanged, .unknownVersion, .lengthChanged, .wrongRange,
            .multipartRange, .rangeNotSatisfiable:
            self = .brokeOff
        case .unchanged: self = .unchanged
        case .digestMismatch: self = .digestMismatch
        case .tooLarge, .deadlineExceeded, .consumerTooSlow: self = .limitReached
        case .serviceStopped, .laneDied, .laneUnavailable, .deliveryUncertain: self = .serviceTrouble
        }
    }

    /// The status for a signal that ended the client; nil for one that it does not handle.
    public init?(signal: Int32) {
        switch signal {
        case 1: self = .hungUp
        case 2: self = .interrupted
        case 15: self = .terminated
        default: return nil
        }
    }
}
