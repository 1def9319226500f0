internal import Glibc
internal import SystemPackage
internal import UnixSockets

/// Waits until a consumer's pipe takes bytes again, or until a time is over, or until somebody ends the wait.
///
/// One for all jobs of a lane, one after the other: a wait that was ended after it was over makes the next one a look
/// for nothing.
///
/// ## Concurrency model
/// The session's thread waits, any thread ends the wait.
final class RoomWait: Sendable {
    private let wakeUp: EventSignal

    /// - Throws: `Errno.tooManyOpenFiles`.
    init() throws(Errno) {
        wakeUp = try EventSignal()
    }

    /// Returns when there is room, when the reader has gone, or when the wait was ended; now and then for nothing.
    func wait(for sink: borrowing OwnedDescriptor) {
        var entries = [
            pollfd(fd: sink.rawValue, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: wakeUp.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        // EINTR is as good a reason to look as any.
        _ = poll(&entries, 2, -1)
        if entries[1].revents != 0 { wakeUp.lower() }
    }

    /// Returns after so long, up to a millisecond later, or when the wait was ended; now and then for nothing.
    func pause(nanoseconds: UInt64) {
        var entry = pollfd(fd: wakeUp.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, CInt(clamping: (nanoseconds + 999_999) / 1_000_000))
        if entry.revents != 0 { wakeUp.lower() }
    }

    /// Ends the wait that there is, or the next one.
    func end() {
        wakeUp.raise()
    }
}
