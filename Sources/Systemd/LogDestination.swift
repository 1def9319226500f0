internal import Glibc

/// Where the log goes.
public enum LogDestination: Sendable, Equatable {
    /// The journal, as structured fields.
    case journal
    /// Standard error, each line with its priority as `<N>` in front (`sd-daemon(3)`).
    case prefixedLines
    /// Standard error, for users.
    case plainLines

    /// The destination that fits how this process was started.
    ///
    /// It is the journal only if JOURNAL_STREAM names the very file that is standard error (`systemd.exec(5)`): a
    /// child whose standard error goes elsewhere inherits the variable too. It is prefixed lines where a service
    /// manager started this process (INVOCATION_ID or JOURNAL_STREAM) and standard error is a pipe or a socket. It is
    /// plain lines for a terminal, a file and everything else.
    public static func detect() -> LogDestination {
        var status = stat()
        guard fstat(STDERR_FILENO, &status) == 0 else { return .plainLines }
        return choose(
            journalStream: variable("JOURNAL_STREAM"), invocation: variable("INVOCATION_ID"),
            standardError: (UInt64(status.st_dev), UInt64(status.st_ino)),
            isStream: status.st_mode & S_IFMT == S_IFIFO || status.st_mode & S_IFMT == S_IFSOCK)
    }

    static func choose(
        journalStream: String?, invocation: String?, standardError: (device: UInt64, inode: UInt64),
        isStream: Bool
    ) -> LogDestination {
        if journalStream == "\(standardError.device):\(standardError.inode)" { return .journal }
        return isStream && (journalStream ?? invocation) != nil ? .prefixedLines : .plainLines
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
