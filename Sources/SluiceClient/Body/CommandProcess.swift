internal import CUnix
internal import Glibc
public import SystemPackage
public import Unix

/// A command that reads a body's pipe as its standard input.
///
/// Unlike the children of a service it belongs to the user: it shares the terminal and the process group, and
/// inherits every descriptor that this program was given, as the shell's `>(…)` requires. No signal is blocked, and
/// the signals that this program handles or ignores have their default actions.
public struct CommandProcess: ~Copyable, Sendable {
    private let processID: pid_t
    private let pidfd: OwnedDescriptor

    /// Finds the file of a command: in `PATH`, unless it has a slash.
    ///
    /// - Throws: `.commandNotFound`, `.commandNotRunnable`.
    public static func find(_ name: String, path: String?) throws(SluiceError) -> String {
        let directories = (path ?? "/usr/local/bin:/usr/bin:/bin").split(
            separator: ":", omittingEmptySubsequences: false)
        let candidates =
            name.contains("/") ? [name] : directories.map { ($0.isEmpty ? "." : $0) + "/\(name)" }
        var found: String?
        for candidate in candidates where !name.isEmpty {
            var status = stat()
            guard stat(candidate, &status) == 0 else { continue }
            guard status.st_mode & S_IFMT == S_IFREG else {
                // A directory in PATH may have such a name. A name with a slash means exactly that file.
                if name.contains("/") { found = candidate }
                continue
            }
            if access(candidate, X_OK) == 0 { return candidate }
            found = found ?? candidate
        }
        if let found {
            throw SluiceError(
                .commandNotRunnable, "\(found) may not be run",
                remedy: "see its permissions, and whether it is a program")
        }
        throw SluiceError(
            .commandNotFound, "the command \(name) was not found", remedy: "check its spelling, and PATH")
    }

    /// Starts the command.
    ///
    /// - Parameters:
    ///   - file: the path that `find` returned.
    ///   - arguments: the first is the command's own name.
    ///   - environment: all of it.
    ///   - pipe: becomes descriptor 0. The caller must close its own copy right after this, or no process would
    ///     notice that the command has closed the pipe.
    /// - Throws: `.commandNotFound`, `.commandNotRunnable`, `.local`.
    public init(
        file: String, arguments: [String], environment: [String: String],
        standardInput pipe: borrowing OwnedDescriptor
    ) throws(SluiceError) {
        var argv = arguments.map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            for pointer in argv + envp { free(pointer) }
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe.rawValue, 0)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        // Undoes what this program has changed for itself. Signals that its caller had ignored stay ignored (nohup).
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        var child = pid_t()
        let result = posix_spawn(&child, file, &actions, &attributes, &argv, &envp)
        guard result == 0 else {
            let error = Errno(rawValue: result)
            throw SluiceError(
                error == .noSuchFileOrDirectory ? .commandNotFound : .commandNotRunnable,
                "\(file) cannot be run: \(error)")
        }
        do {
            // The child is not reaped yet, so no other process has its number.
            pidfd = OwnedDescriptor(adopting: try valueOrErrno(cunix_pidfd_open(child)))
        } catch {
            kill(child, SIGKILL)
            waitpid(child, nil, 0)
            throw SluiceError(.local, "\(file) cannot be watched: \(error)")
        }
        processID = child
    }

    /// Sends a signal. Does nothing where the process has already ended.
    public borrowing func signal(_ number: Int32) {
        _ = cunix_pidfd_send_signal(pidfd.rawValue, number)
    }

    /// Waits for the end of the process and reaps it. Call it once.
    ///
    /// - Throws: `Errno.noChildProcess` the second time.
    public borrowing func wait() throws(Errno) -> ProcessExit {
        var code: CInt = 0
        var status: CInt = 0
        while true {
            var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
            if poll(&entry, 1, -1) < 0, errno != EINTR { throw Errno(rawValue: errno) }
            if try valueOrErrno(cunix_reap(pidfd.rawValue, &code, &status)) == 1 {
                return code == CLD_EXITED ? .exited(status) : .signalled(status)
            }
        }
    }
}

extension ProcessExit {
    /// The status as a shell reports it: the exit status, or 128 plus the signal's number.
    public var shellStatus: Int32 {
        switch self {
        case .exited(let status): status
        case .signalled(let signal): 128 + signal
        }
    }
}
