internal import CUnix
internal import Glibc
public import SystemPackage

/// A file descriptor with exactly one owner, closed when the owner lets go of it.
///
/// The type is noncopyable: a descriptor cannot be closed twice or used after its close without the compiler
/// saying so. Every descriptor made here is close-on-exec.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number. Valid for as long as this value lives; never close it by hand.
    public let rawValue: CInt

    /// Takes over `rawValue`, which nobody else may close from now on.
    public init(adopting rawValue: CInt) {
        self.rawValue = rawValue
    }

    deinit {
        // The only error that matters here, EBADF, would be a bug in the ownership this type exists for.
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
    /// - Throws: `Errno.tooManyOpenFiles` where the process or the system has none left.
    public borrowing func duplicate() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(cunix_dup_cloexec(rawValue, 0)))
    }
}

/// The value of a system call that returns -1 for failure, else what `errno` says.
public func valueOrErrno<Value: SignedInteger>(_ value: Value) throws(Errno) -> Value {
    guard value >= 0 else { throw Errno(rawValue: errno) }
    return value
}

/// Closes a descriptor on `exec`, or not.
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
