internal import CSystemd
internal import Glibc
internal import Synchronization
public import SystemPackage
internal import Unix

/// Tells the service manager how the service is doing (`sd_notify(3)`), through the socket named by NOTIFY_SOCKET.
///
/// Without a service manager every call does nothing and returns `notNeeded`. A message costs one datagram: a few
/// microseconds here, some tens in PID 1. Send a status at most once a second (`StatusThrottle`).
///
/// ## Concurrency model
/// Any thread may call any method. A lock guards the last status, and it is not held while the message is sent: of
/// two concurrent calls of `status`, the manager may see either one last.
public final class Notifier: Sendable {
    /// The outcome of a message. Only `failed` is worth a line in the log.
    public enum Outcome: Sendable, Equatable {
        /// The kernel has queued it for the manager.
        case sent
        /// There is no manager, or the message would have told it nothing new.
        case notNeeded
        /// NOTIFY_SOCKET is set, and the message could not be sent there.
        case failed(Errno)
    }

    /// Maximum length of a status, in bytes of UTF-8. A longer one is cut between two Unicode scalars. It fits a line
    /// or two of a terminal.
    public static let longestStatus = 256

    private let isEnabled: Bool
    private let lastStatus = Mutex<String?>(nil)

    /// Creates a notifier. It reads the environment at each call, not here.
    ///
    /// - Parameter isEnabled: false for a process that inherits the NOTIFY_SOCKET of another process and must not use
    ///   it, such as a private daemon that was started from within a service.
    public init(isEnabled: Bool = true) {
        self.isEnabled = isEnabled
    }

    /// Whether a service manager waits for our messages.
    public static var isUnderSystemd: Bool {
        guard let path = getenv("NOTIFY_SOCKET") else { return false }
        return path.pointee != 0
    }

    /// READY=1: the service answers from now on, or has finished reloading.
    @discardableResult
    public func ready(status: String? = nil) -> Outcome {
        send("READY=1", status: status)
    }

    /// STATUS=: one line for `systemctl status`. Not sent where it equals the last status.
    @discardableResult
    public func status(_ text: String) -> Outcome {
        let text = Self.statusLine(text)
        let isNew = lastStatus.withLock { last in
            defer { last = text }
            return last != text
        }
        return isNew ? send(["STATUS=\(text)"]) : .notNeeded
    }

    /// RELOADING=1: the service is reading its settings again. `ready` must follow, whether that succeeds or not.
    @discardableResult
    public func reloading(status: String? = nil) -> Outcome {
        // Type=notify-reload (systemd 253) uses MONOTONIC_USEC to tell this reload from an earlier one.
        send("RELOADING=1", "MONOTONIC_USEC=\(Monotonic.nanoseconds() / 1000)", status: status)
    }

    /// STOPPING=1: the service is stopping.
    @discardableResult
    public func stopping(status: String? = nil) -> Outcome {
        send("STOPPING=1", status: status)
    }

    /// WATCHDOG=1: the caller's loop still runs. Send it at least every half `Watchdog.interval`.
    @discardableResult
    public func watchdog() -> Outcome {
        send("WATCHDOG=1", status: nil)
    }

    /// MAINPID=: another process is the service's main one from now on.
    @discardableResult
    public func mainPID(_ processID: Int32) -> Outcome {
        send("MAINPID=\(processID)", status: nil)
    }

    /// ERRNO= and STATUS=: why the service is about to fail, for `systemctl status`.
    @discardableResult
    public func failing(_ errno: Errno?, exitText: String) -> Outcome {
        guard let errno else { return status(exitText) }
        return send("ERRNO=\(errno.rawValue)", status: exitText)
    }

    /// EXTEND_TIMEOUT_USEC=: the start, stop or reload in progress needs `time` more, from now on.
    @discardableResult
    public func extendTimeout(by time: Duration) -> Outcome {
        send("EXTEND_TIMEOUT_USEC=\(time.wholeMicroseconds)", status: nil)
    }

    func send(_ lines: String..., status: String?) -> Outcome {
        guard let status else { return send(lines) }
        let text = Self.statusLine(status)
        lastStatus.withLock { $0 = text }
        return send(lines + ["STATUS=\(text)"])
    }

    /// - Parameter descriptors: sent along with the message; they stay the caller's.
    func send(_ lines: [String], descriptors: [CInt] = []) -> Outcome {
        guard isEnabled else { return .notNeeded }
        let message = lines.joined(separator: "\n")
        let result = sd_pid_notify_with_fds(0, 0, message, descriptors, UInt32(clamping: descriptors.count))
        if result < 0 { return .failed(Errno(rawValue: -result)) }
        return result > 0 ? .sent : .notNeeded
    }

    /// A line that STATUS= may carry: not too long, without other control characters, and without a newline, which
    /// would begin another assignment.
    static func statusLine(_ text: String) -> String {
        let blank: Unicode.Scalar = " "
        var line = String.UnicodeScalarView()
        var length = 0
        for scalar in text.unicodeScalars {
            let isControl = scalar.properties.generalCategory == .control
            let shown = isControl || scalar == "\u{2028}" || scalar == "\u{2029}" ? blank : scalar
            length += UTF8.width(shown)
            if length > longestStatus { break }
            line.append(shown)
        }
        return String(line)
    }
}
