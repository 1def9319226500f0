internal import CSystemd
internal import CUnix
internal import Glibc
public import SystemPackage
public import Unix

/// A listening socket that the service manager opened for this process.
@frozen
public struct ListenDescriptor: ~Copyable, Sendable {
    /// FileDescriptorName= of the socket unit; the unit's own name where the unit does not set it; `unknown` where
    /// the manager passes no name.
    public let name: String
    /// The socket: close-on-exec, non-blocking.
    public var descriptor: OwnedDescriptor
}

/// Errors about descriptors that were passed to this process.
public enum ListenDescriptorsError: Error, Equatable, CustomStringConvertible {
    /// A descriptor is not a listening Unix stream socket. `found` says what it is.
    case unusable(number: Int32, name: String, found: String, remedy: String)
    /// LISTEN_FDS and its like do not make sense, or a system call failed.
    case system(call: String, errno: Errno)

    /// The sentence for the log, with the remedy where there is one.
    public var description: String {
        switch self {
        case .unusable(let number, let name, let found, let remedy):
            "the descriptor \(number) (\(name)) that the service manager passed is \(found), "
                + "not a listening Unix stream socket: \(remedy)"
        case .system(let call, let errno):
            "cannot take the sockets that the service manager passed: \(call): \(errno)"
        }
    }
}

/// What the service manager passed (`sd_listen_fds(3)`): the sockets of socket activation, in the order of the socket
/// unit, and the descriptors that an earlier process of this service had put into the store (`Notifier.store`).
///
/// Both come in one list and are told apart by name (`StoredName`): a socket unit gives its own name, which ends in
/// `.socket`, or its FileDescriptorName=, which must then be longer than four characters. A descriptor that listens
/// is a listener whatever its name is, and a descriptor that no socket unit can have made is from the store.
///
/// Owns the descriptors that are not taken out yet. (It cannot be a collection: its elements are noncopyable.)
public struct ListenDescriptors: ~Copyable, Sendable {
    private var waiting: [(number: CInt, name: String)]
    private var stored: [String: [CInt]]

    private init(_ waiting: [(number: CInt, name: String)]) {
        self.waiting = waiting
        stored = [:]
    }

    deinit {
        for (number, _) in waiting { close(number) }
        for number in stored.values.joined() { close(number) }
    }

    /// Takes over what was passed to this process; empty where nothing was passed.
    ///
    /// All descriptors are close-on-exec afterwards; those from the store are not when they arrive. The listeners are
    /// non-blocking, and the stored ones as they were stored. Costs some system calls for each.
    ///
    /// Unsets LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES, so a second call finds nothing and no child is misled. Call
    /// it early, while the process has one thread: `unsetenv(3)` must not run beside `getenv(3)`.
    ///
    /// - Throws: where a socket cannot serve; all descriptors are closed then. A descriptor from the store never
    ///   causes an error: the code that takes it finds out what it is (`DescriptorKind`).
    public static func take() throws(ListenDescriptorsError) -> ListenDescriptors {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        // Sets FD_CLOEXEC on each.
        let count = sd_listen_fds_with_names(1, &names)
        guard count >= 0 else { throw .system(call: "sd_listen_fds", errno: Errno(rawValue: -count)) }
        defer {
            if let names {
                for index in 0..<Int(count) { free(names[index]) }
                free(names)
            }
        }
        var all = ListenDescriptors(
            (0..<count).map { index in
                (SD_LISTEN_FDS_START + index, names?[Int(index)].map { String(cString: $0) } ?? "unknown")
            })
        try all.sort()
        return all
    }

    /// Tells listeners and stored descriptors apart.
    private mutating func sort() throws(ListenDescriptorsError) {
        var listeners: [(number: CInt, name: String)] = []
        var fromStore: [String: [CInt]] = [:]
        for (number, name) in waiting {
            let passed = PassedDescriptor(number)
            if let (found, remedy) = passed.complaint {
                guard StoredName.mayBeOurs(name) || passed.isFromStore else {
                    throw .unusable(number: number, name: name, found: found, remedy: remedy)
                }
                fromStore[name, default: []].append(number)
                continue
            }
            do {
                try setNonblocking(number)
            } catch {
                throw .system(call: "fcntl", errno: error)
            }
            listeners.append((number, name))
        }
        waiting = listeners
        stored = fromStore
    }

    /// The number of listeners left.
    public var count: Int { waiting.count }

    /// The names of the listeners left.
    public var names: [String] { waiting.map(\.name) }

    /// Takes out the descriptors from the store; empty the second time.
    public mutating func takeStored() -> StoredDescriptors {
        defer { stored = [:] }
        return StoredDescriptors(adopting: stored)
    }

    /// Takes out the first of the listeners left.
    public mutating func takeFirst() -> ListenDescriptor? {
        guard !waiting.isEmpty else { return nil }
        let (number, name) = waiting.removeFirst()
        return ListenDescriptor(name: name, descriptor: OwnedDescriptor(adopting: number))
    }
}

/// What a descriptor is, in words.
private struct PassedDescriptor {
    /// The kind of a descriptor that is not a listening Unix stream socket, and the remedy; nil where it is one.
    let complaint: (found: String, remedy: String)?
    /// Whether no socket unit can have made it: it is a file or a pipe without a name in any file system.
    let isFromStore: Bool

    init(_ descriptor: CInt) {
        let useStream = "give the socket unit ListenStream= with a path, and Accept=no"
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            complaint = ("not open", "check LISTEN_FDS")
            isFromStore = false
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFREG: isFromStore = status.st_nlink == 0
        case S_IFIFO: isFromStore = cunix_is_anonymous_pipe(descriptor)
        default: isFromStore = false
        }
        switch status.st_mode & S_IFMT {
        case S_IFSOCK:
            let domain = Self.option(SO_DOMAIN, of: descriptor)
            let type = Self.option(SO_TYPE, of: descriptor)
            let isListening = Self.option(SO_ACCEPTCONN, of: descriptor) == 1
            let isUnixStream = domain == AF_UNIX && type == CInt(SOCK_STREAM.rawValue)
            if isUnixStream, isListening {
                complaint = nil
            } else {
                let state = isListening ? "listening" : "not listening"
                complaint = (
                    "a \(Self.name(type: type)) socket of the family \(Self.name(domain: domain)), \(state)",
                    isUnixStream ? "give the socket unit Accept=no" : useStream
                )
            }
        case S_IFIFO: complaint = ("a FIFO", useStream)
        case S_IFREG: complaint = ("a regular file", useStream)
        case S_IFCHR: complaint = ("a character device", useStream)
        case S_IFDIR: complaint = ("a directory", useStream)
        default: complaint = ("neither a socket nor a file", useStream)
        }
    }

    private static func option(_ option: CInt, of socket: CInt) -> CInt? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(socket, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
    }

    private static func name(type: CInt?) -> String {
        switch type {
        case CInt(SOCK_STREAM.rawValue): "stream"
        case CInt(SOCK_DGRAM.rawValue): "datagram"
        case CInt(SOCK_SEQPACKET.rawValue): "seqpacket"
        case let other?: "type-\(other)"
        case nil: "unknown"
        }
    }

    private static func name(domain: CInt?) -> String {
        switch domain {
        case AF_UNIX: "AF_UNIX"
        case AF_INET: "AF_INET"
        case AF_INET6: "AF_INET6"
        case AF_NETLINK: "AF_NETLINK"
        case let other?: "\(other)"
        case nil: "unknown"
        }
    }
}
