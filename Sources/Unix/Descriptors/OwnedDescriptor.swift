internal import CUnix
internal import Glibc
public import SystemPackage

/// A file descriptor with exactly one owner. It is closed when the owner releases it.
///
/// The type is noncopyable: the compiler rejects code that closes a descriptor twice or uses it after its close.
/// Every descriptor made here is close-on-exec.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number, valid as long as this value exists. Never close it directly.
    public let rawValue: CInt

    /// Takes over `rawValue`, which no other code may close from now on.
    public init(adopting rawValue: CInt) {
        self.rawValue = rawValue
    }

    deinit {
        // The only error that matters here, EBADF, would be a bug in the ownership that this type exists for.
        close(rawValue)
    }

    /// Gives the number away without closing it.
    public consuming func release() -> CInt {
        let value = rawValue
        discard self
        return value
    }

    /// A second descriptor of the same open file description (`fcntl(2)` F_DUPFD_CLOEXEC).
    ///
    /// - Throws: `Errno.tooManyOpenFiles` where the process or the system has no descriptors left.
    public borrowing func duplicate() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(cunix_dup_cloexec(rawValue, 0)))
    }
}

/// Returns the value of a system call. Throws `errno` where the value is -1.
public func valueOrErrno<Value: SignedInteger>(_ value: Value) throws(Errno) -> Value {
    guard value >= 0 else { throw Errno(rawValue: errno) }
    return value
}

/// Sets or clears close-on-exec.
///
/// - Throws: `Errno.badFileDescriptor`.
public func setCloseOnExec(_ descriptor: CInt, _ on: Bool = true) throws(Errno) {
    _ = try valueOrErrno(cunix_set_cloexec(descriptor, on))
}

/// Sets or clears O_NONBLOCK, which belongs to the open file description and so to every duplicate of it.
///
/// - Throws: `Errno.badFileDescriptor`.
public func setNonblocking(_ descriptor: CInt, _ on: Bool = true) throws(Errno) {
    _ = try valueOrErrno(cunix_set_nonblocking(descriptor, on))
}
