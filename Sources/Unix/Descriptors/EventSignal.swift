internal import CUnix
internal import Glibc
public import SystemPackage

/// A signal from one thread to another. A thread can wait for it beside other descriptors (`eventfd(2)`).
public struct EventSignal: ~Copyable, Sendable {
    /// Readable while the signal is raised.
    public let descriptor: OwnedDescriptor

    /// Creates a signal that is not raised.
    ///
    /// - Throws: `Errno.tooManyOpenFiles`.
    public init() throws(Errno) {
        descriptor = OwnedDescriptor(adopting: try valueOrErrno(cunix_eventfd()))
    }

    /// Raises the signal. Any thread may call it, any number of times.
    public borrowing func raise() {
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the signal is raised.
        _ = write(descriptor.rawValue, &one, MemoryLayout<UInt64>.size)
    }

    /// Lowers the signal.
    public borrowing func lower() {
        var count: UInt64 = 0
        _ = read(descriptor.rawValue, &count, MemoryLayout<UInt64>.size)
    }
}
