internal import CUnix
internal import Glibc
public import SystemPackage
internal import Unix

/// A gate that is closed until a test opens it. It then stays open.
///
/// It is an eventfd, so threads can wait for it together with sockets (`descriptor` is readable when it is open).
public final class Gate: Sendable {
    private let event: OwnedDescriptor

    /// Creates a closed gate.
    public init() throws(Errno) {
        event = OwnedDescriptor(adopting: try valueOrErrno(cunix_eventfd()))
    }

    /// For `poll(2)`.
    public var descriptor: CInt { event.rawValue }

    /// Lets all threads through, now and later. May be called twice.
    public func open() {
        var one: UInt64 = 1
        _ = write(event.rawValue, &one, MemoryLayout<UInt64>.size)
    }

    /// Whether it has been opened.
    public var isOpen: Bool { waitFor(CInt(POLLIN), on: event.rawValue, until: Deadline(exactly: .zero)) }

    /// Waits until the gate is open.
    ///
    /// - Returns: false past the deadline.
    public func wait(within duration: Duration = Deadline.usual) -> Bool {
        waitFor(CInt(POLLIN), on: event.rawValue, until: Deadline(duration))
    }
}
