internal import CUnix
internal import Glibc
public import SystemPackage

/// How a process ended.
public enum ProcessExit: Sendable, Equatable, CustomStringConvertible {
    /// It called `exit` with this status.
    case exited(Int32)
    /// A signal ended it.
    case signalled(Int32)

    /// For the log: `exit status 1`, `signal 9`.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}

/// A child process, known by a pidfd (`pidfd_open(2)`): its number cannot be mistaken for a later process's.
///
/// The owner has to reap it. Ends with the value only the descriptor, not the process.
public struct SpawnedProcess: ~Copyable, Sendable {
    /// For the log and for people; never signal by it.
    public let processID: Int32
    /// Readable (EPOLLIN) once the process has ended.
    public let pidfd: OwnedDescriptor

    /// Starts a program that inherits the given descriptors and no others.
    ///
    /// - Parameters:
    ///   - path: of the executable; there is no search in PATH.
    ///   - arguments: without the program's own name, which is made from `path`.
    ///   - environment: `NAME=value` each; all of it.
    ///   - control: becomes descriptor 3.
    ///   - newSession: `setsid(2)`: signals from a terminal do not reach it.
    /// - Throws: what `fork` or `execve` said: `Errno.noSuchFileOrDirectory`, `Errno.permissionDenied`, …
    public init(
        path: String, arguments: [String] = [], environment: [String], standardInput: CInt = -1,
        standardOutput: CInt = -1, standardError: CInt = -1, control: CInt = -1, newSession: Bool = false
    ) throws(Errno) {
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup($0) } + [nil]
        defer {
            for pointer in argv + envp { free(pointer) }
        }
        let pid = try valueOrErrno(
            cunix_spawn(
                path, &argv, &envp, standardInput, standardOutput, standardError, control, newSession))
        // The child is not reaped yet, so the number is still its own.
        let descriptor = cunix_pidfd_open(pid)
        guard descriptor >= 0 else {
            let error = Errno(rawValue: errno)
            // Nobody else could ever end it or collect it.
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw error
        }
        processID = pid
        pidfd = OwnedDescriptor(adopting: descriptor)
    }

    /// Sends a signal; a process that has already ended is no error.
    public borrowing func signal(_ number: Int32) {
        _ = cunix_pidfd_send_signal(pidfd.rawValue, number)
    }

    /// Collects the exit, without waiting.
    ///
    /// - Returns: nil while it runs.
    /// - Throws: `Errno.noChildProcess` where it has been reaped before.
    public borrowing func reap() throws(Errno) -> ProcessExit? {
        var code: CInt = 0
        var status: CInt = 0
        guard try valueOrErrno(cunix_reap(pidfd.rawValue, &code, &status)) == 1 else { return nil }
        return code == CLD_EXITED ? .exited(status) : .signalled(status)
    }

    /// Waits for the end, up to `milliseconds` (-1: for ever), and collects it.
    ///
    /// - Returns: nil where it still runs.
    public borrowing func wait(milliseconds: Int32 = -1) throws(Errno) -> ProcessExit? {
        var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
        while true {
            let ready = poll(&entry, 1, milliseconds)
            if ready < 0, errno == EINTR { continue }
            _ = try valueOrErrno(ready)
            return try reap()
        }
    }
}
