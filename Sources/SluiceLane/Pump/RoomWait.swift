internal import Glibc
internal import SystemPackage
internal import Unix

/// Waits until a consumer's pipe takes bytes again, until a time is over, or until another thread ends the wait.
///
/// The successive jobs of a lane share one. If a wait is ended after it was over, the next wait returns at once.
///
/// ## Concurrency model
/// The session's thread waits; any thread may end the wait.
final class RoomWait: Sendable {
    private let wakeUp: EventSignal

    /// - Throws: `Errno.tooManyOpenFiles`.
    init() throws(Errno) {
        wakeUp = try EventSignal()
    }

    /// Returns when there is room, when the reader has gone, or when the wait was ended; sometimes without any reason.
    func wait(for sink: borrowing OwnedDescriptor) {
        var entries = [
            pollfd(fd: sink.rawValue, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: wakeUp.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        // After EINTR the function returns, too: the caller checks for room anyway.
        _ = poll(&entries, 2, -1)
        if entries[1].revents != 0 { wakeUp.lower() }
    }

    /// Returns after this time, up to a millisecond later, or when the wait was ended; sometimes without any reason.
    func pause(nanoseconds: UInt64) {
        var entry = pollfd(fd: wakeUp.descriptor.rawValue, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, CInt(clamping: (nanoseconds + 999_999) / 1_000_000))
        if entry.revents != 0 { wakeUp.lower() }
    }

    /// Ends the current wait, or the next one.
    func end() {
        wakeUp.raise()
    }
}
