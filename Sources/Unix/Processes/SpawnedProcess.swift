internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage

/// How a process ended.
public enum ProcessExit: Sendable, Equatable, CustomStringConvertible {
    /// It called `exit` with this status.
    case exited(Int32)
    /// A signal ended it.
    case signalled(Int32)

    /// Whether the process has failed by itself: a signal ended it that the kernel or the C library sends for a fault.
    public var isCrash: Bool {
        switch self {
        case .exited: false
        case .signalled(let signal):
            [SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE, SIGTRAP, SIGSYS].contains(signal)
        }
    }

    /// A text for the log: `exit status 1`, `signal 9`.
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let signal): "signal \(signal)"
        }
    }
}

/// A child process, identified by a pidfd (`pidfd_open(2)`), which never refers to a later process with the same
/// number.
///
/// The owner has to reap the process. The end of this value closes only the descriptor; the process goes on.
public struct SpawnedProcess: ~Copyable, Sendable {
    /// For the log and for users. Never send a signal to this number.
    public let processID: Int32
    /// Readable (EPOLLIN) once the process has ended.
    public let pidfd: OwnedDescriptor

    /// Starts a program that inherits the given descriptors and no others.
    ///
    /// - Parameters:
    ///   - path: the path of the executable; PATH is not searched.
    ///   - arguments: without the program's own name, which is made from `path`.
    ///   - environment: all of it, each entry as `NAME=value`.
    ///   - standardInput: becomes descriptor 0; -1 for /dev/null.
    ///   - standardOutput: becomes descriptor 1; -1 for /dev/null.
    ///   - standardError: becomes descriptor 2; -1 for /dev/null.
    ///   - control: becomes descriptor 3.
    ///   - newSession: whether the process calls `setsid(2)`: signals from a terminal then do not reach it.
    /// - Throws: the error of `fork` or `execve`: `Errno.noSuchFileOrDirectory`, `Errno.permissionDenied`, …
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
        // The child is not reaped yet, so no other process has its number.
        let descriptor = cunix_pidfd_open(pid)
        guard descriptor >= 0 else {
            let error = Errno(rawValue: errno)
            // Without a pidfd, no other code could end the child or reap it.
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            throw error
        }
        processID = pid
        pidfd = OwnedDescriptor(adopting: descriptor)
        Self.unreaped.withLock { _ = $0.insert(pid) }
    }

    /// Takes over a child of this process that other code has started, and that was not reaped yet.
    ///
    /// - Throws: `Errno.noSuchProcess`; `Errno.tooManyOpenFiles`, when the process is ended and reaped, because no other code
    ///   could do that.
    public init(adopting processID: Int32) throws(Errno) {
        let descriptor = cunix_pidfd_open(processID)
        guard descriptor >= 0 else {
            let error = Errno(rawValue: errno)
            if error != .noSuchProcess {
                kill(processID, SIGKILL)
                waitpid(processID, nil, 0)
            }
            throw error
        }
        self.processID = processID
        pidfd = OwnedDescriptor(adopting: descriptor)
        Self.unreaped.withLock { _ = $0.insert(processID) }
    }

    /// The exit status of a forked child that was not let go (`cunix_fork_orphan`).
    public static let neverLetGo = Int32(CUNIX_NEVER_LET_GO)

    /// The children that this type knows and that are not reaped.
    private static let unreaped = Mutex<Set<Int32>>([])

    /// The children of this process that no value of this type stands for: descendants whose parents have ended
    /// (`adoptOrphans`). The kernel lists them in `/proc/self/task/*/children` (proc(5)); where it does not, there are
    /// none.
    ///
    /// - Parameter names: those of the processes that are meant (`PR_SET_NAME`, prctl(2)).
    public static func strangers(named names: Set<String>) -> [Int32] {
        var children: Set<Int32> = []
        guard let directory = opendir("/proc/self/task") else { return [] }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            let list = SmallFile.text(of: "/proc/self/task/\(name)/children", atMost: 64 << 10) ?? ""
            children.formUnion(list.split(separator: " ").compactMap { Int32($0) })
        }
        return children.subtracting(unreaped.withLock { $0 }).sorted().filter { child in
            let name = SmallFile.text(of: "/proc/\(child)/comm") ?? ""
            return names.contains(String(name.dropLast()))
        }
    }

    /// Makes this process the parent of its descendants whose own parents end (`prctl(2)`, PR_SET_CHILD_SUBREAPER). It
    /// has to reap them.
    public static func adoptOrphans() throws(Errno) {
        _ = try valueOrErrno(cunix_adopt_orphans())
    }

    /// Sends a signal. Does nothing where the process has already ended.
    public borrowing func signal(_ number: Int32) {
        _ = cunix_pidfd_send_signal(pidfd.rawValue, number)
    }

    /// Reaps the process, without waiting.
    ///
    /// - Returns: nil while it runs.
    /// - Throws: `Errno.noChildProcess` where it was reaped before.
    public borrowing func reap() throws(Errno) -> ProcessExit? {
        var code: CInt = 0
        var status: CInt = 0
        do throws(Errno) {
            guard try valueOrErrno(cunix_reap(pidfd.rawValue, &code, &status)) == 1 else { return nil }
        } catch {
            // Another process may get its number now.
            Self.unreaped.withLock { _ = $0.remove(processID) }
            throw error
        }
        Self.unreaped.withLock { _ = $0.remove(processID) }
        return code == CLD_EXITED ? .exited(status) : .signalled(status)
    }

    /// The same for code to which it makes no difference if the process was reaped elsewhere: its end is then
    /// `signalled(0)`.
    public borrowing func reapIfEnded() -> ProcessExit? {
        do {
            return try reap()
        } catch {
            return .signalled(0)
        }
    }

    /// Waits for the process to end, at most `milliseconds` (-1: without a limit), and reaps it.
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
