internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage

/// Why a socket cannot listen.
public enum ListenError: Error, Equatable, CustomStringConvertible {
    /// Another process serves at this path.
    case alreadyServed(path: String)
    /// A file that is no socket has this path. Sluice does not remove such a file.
    case notASocket(path: String)
    /// Another process has locked the socket's directory, and does not release it.
    case directoryLocked(path: String)
    /// A system call failed.
    case system(path: String, call: String, errno: Errno)

    /// The sentence for the log, with the remedy where there is one.
    public var description: String {
        switch self {
        case .alreadyServed(let path):
            "another process already listens on \(path): stop it, or choose another socket"
        case .notASocket(let path):
            "\(path) exists and is not a socket: move it away, or choose another socket"
        case .directoryLocked(let path):
            "another process has locked the directory of \(path): end it, or choose another directory"
        case .system(let path, let call, let errno):
            "cannot listen on \(path): \(call): \(errno)"
        }
    }
}

/// Two sockets that are connected to each other (`socketpair(2)`).
@frozen
public struct SocketPair: ~Copyable, Sendable {
    /// One end.
    public var first: OwnedDescriptor
    /// The other end.
    public var second: OwnedDescriptor
}

/// Makes, connects and accepts Unix-domain sockets (`unix(7)`). A path that begins with `@` is an abstract name.
public enum UnixSocket {
    /// Connects a blocking stream socket.
    ///
    /// - Throws: `Errno.noSuchFileOrDirectory` and `Errno.connectionRefused` where no process listens,
    ///   `Errno.permissionDenied` where the caller may not connect, `Errno.fileNameTooLong` past 107 bytes.
    public static func connect(path: String) throws(Errno) -> OwnedDescriptor {
        let socket = try stream()
        while true {
            let result = cunix_connect_unix(socket.rawValue, path)
            if result < 0, errno == EINTR { continue }
            _ = try valueOrErrno(result)
            return socket
        }
    }

    /// Makes a socket that listens at a path. The file has `mode` from the first moment.
    ///
    /// A socket file that no process serves any more is removed first. Any other file at the path is left alone.
    ///
    /// - Parameters:
    ///   - path: where the socket is made; an abstract name begins with `@`.
    ///   - mode: the permission bits of the socket file; no effect on an abstract name.
    ///   - backlog: the maximum number of connections that wait to be accepted; the kernel caps it at
    ///     `net.core.somaxconn`.
    public static func listen(path: String, mode: UInt32 = 0o660, backlog: Int32 = 4096)
        throws(ListenError) -> OwnedDescriptor
    {
        // Where two processes find a stale file at once, the second must not remove the file that the first has made
        // instead.
        let turn = path.hasPrefix("@") ? nil : try lockDirectory(of: path)
        if !path.hasPrefix("@") { try removeStale(path: path) }
        let socket: OwnedDescriptor
        do {
            socket = try stream()
        } catch {
            throw .system(path: path, call: "socket", errno: error)
        }
        try check(path, "fcntl", cunix_set_nonblocking(socket.rawValue, true))
        // bind(2) takes the mode from the umask. A chmod after it would leave a moment with another mode.
        let (bound, bindErrno) = bind(socket.rawValue, to: path, mode)
        if bound < 0 {
            if bindErrno == .addressInUse { throw .alreadyServed(path: path) }
            throw .system(path: path, call: "bind", errno: bindErrno)
        }
        try check(path, "listen", Glibc.listen(socket.rawValue, backlog))
        _ = consume turn
        return socket
    }

    /// Accepts one waiting connection, non-blocking and close-on-exec.
    ///
    /// - Returns: nil where no connection waits (or the one that did has gone again).
    /// - Throws: `Errno.tooManyOpenFiles` and similar errors: the caller has to pause, or it will spin.
    public static func accept(from listener: borrowing OwnedDescriptor) throws(Errno) -> OwnedDescriptor? {
        while true {
            let accepted = cunix_accept(listener.rawValue)
            if accepted >= 0 { return OwnedDescriptor(adopting: accepted) }
            switch Errno(rawValue: errno) {
            case .interrupted: continue
            case .wouldBlock, .connectionAbort: return nil
            case let other: throw other
            }
        }
    }

    /// Two connected seqpacket sockets: they keep message boundaries, pass descriptors and report the end.
    public static func seqpacketPair() throws(Errno) -> SocketPair {
        try pair(SOCK_SEQPACKET)
    }

    /// Two connected stream sockets.
    public static func streamPair() throws(Errno) -> SocketPair {
        try pair(SOCK_STREAM)
    }

    /// Ends a connection in both directions without closing the descriptor: the peer sees the end (`shutdown(2)`).
    public static func shutDown(_ socket: borrowing OwnedDescriptor) {
        // Fails only where the peer has already gone.
        _ = shutdown(socket.rawValue, CInt(SHUT_RDWR))
    }

    private static func pair(_ type: __socket_type) throws(Errno) -> SocketPair {
        var ends: [CInt] = [-1, -1]
        let flags = CInt(type.rawValue | SOCK_CLOEXEC.rawValue)
        _ = try valueOrErrno(socketpair(AF_UNIX, flags, 0, &ends))
        return SocketPair(
            first: OwnedDescriptor(adopting: ends[0]), second: OwnedDescriptor(adopting: ends[1]))
    }

    private static func stream() throws(Errno) -> OwnedDescriptor {
        let flags = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        return OwnedDescriptor(adopting: try valueOrErrno(socket(AF_UNIX, flags, 0)))
    }

    /// The umask belongs to the whole process. If two threads changed it at once, one would restore the other's
    /// value.
    private static let umaskLock = Mutex(())

    private static func bind(_ socket: CInt, to path: String, _ mode: UInt32) -> (CInt, Errno) {
        umaskLock.withLock { _ in
            let before = umask(mode_t(0o777 & ~mode))
            defer { umask(before) }
            let bound = cunix_bind_unix(socket, path)
            return (bound, Errno(rawValue: errno))
        }
    }

    /// How long other processes may take to listen in the same directory, in steps of 5 ms.
    private static let lockAttempts = 400

    /// Takes the directory's lock (`flock(2)`), which is released with the descriptor. Returns nil where the
    /// directory cannot be opened; bind(2) then reports the reason.
    private static func lockDirectory(of path: String) throws(ListenError) -> OwnedDescriptor? {
        let directory =
            path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let number = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let lock = OwnedDescriptor(adopting: number)
        // The wait has a limit, since any process that may read the directory may hold its lock.
        for _ in 0..<lockAttempts {
            if flock(lock.rawValue, LOCK_EX | LOCK_NB) == 0 { return lock }
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw .system(path: path, call: "flock", errno: Errno(rawValue: errno))
            }
            // flock(2) can wait, but not with a time limit.
            usleep(5000)
        }
        throw .directoryLocked(path: path)
    }

    private static func removeStale(path: String) throws(ListenError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            if errno == ENOENT { return }
            throw .system(path: path, call: "stat", errno: Errno(rawValue: errno))
        }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        switch probe(path) {
        case nil, .wouldBlock: throw .alreadyServed(path: path)
        // No process serves the file.
        case .connectionRefused: try check(path, "unlink", unlink(path))
        case .noSuchFileOrDirectory: break
        case let error?: throw .system(path: path, call: "connect", errno: error)
        }
    }

    /// Connects without waiting for a process that accepts no more connections, and closes the connection.
    ///
    /// - Returns: the error of `connect(2)`; nil if a connection was made.
    private static func probe(_ path: String) -> Errno? {
        do throws(Errno) {
            let socket = try stream()
            _ = try valueOrErrno(cunix_set_nonblocking(socket.rawValue, true))
            _ = try valueOrErrno(cunix_connect_unix(socket.rawValue, path))
            return nil
        } catch {
            return error
        }
    }

    private static func check(_ path: String, _ call: String, _ result: CInt) throws(ListenError) {
        guard result >= 0 else {
            throw .system(path: path, call: call, errno: Errno(rawValue: errno))
        }
    }
}
