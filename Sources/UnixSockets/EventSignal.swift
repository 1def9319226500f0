internal import CUnix
internal import Glibc
public import SystemPackage

/// A signal from one thread to another that can be waited for beside other descriptors (`eventfd(2)`).
public struct EventSignal: ~Copyable, Sendable {
    /// Readable while the signal is up.
    public let descriptor: OwnedDescriptor

    /// A signal that is down.
    ///
    /// - Throws: `Errno.tooManyOpenFiles`.
    public init() throws(Errno) {
        descriptor = OwnedDescriptor(adopting: try valueOrErrno(cunix_eventfd()))
    }

    /// Raises it; from any thread, as often as one likes.
    public borrowing func raise() {
        var one: UInt64 = 1
        // Fails only when the counter is full, and then the signal is up.
        _ = write(descriptor.rawValue, &one, MemoryLayout<UInt64>.size)
    }

    /// Takes it down.
    public borrowing func lower() {
        var count: UInt64 = 0
        _ = read(descriptor.rawValue, &count, MemoryLayout<UInt64>.size)
    }
}
