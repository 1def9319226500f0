internal import Glibc

/// Waits until the consumer's pipe takes bytes again, or until somebody ends the wait.
struct RoomWait {
    let sink: CInt
    let wakeUp: CInt

    /// Why a wait is over.
    enum Reason {
        /// There is room, the reader has gone, or it was for nothing: a reason to look.
        case room
        /// The wake-up signal is up.
        case wokenUp
    }

    /// Returns when there is room, when the reader has gone, or when the wake-up signal is up.
    func wait() -> Reason {
        var entries = [
            pollfd(fd: sink, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
        ]
        // EINTR is as good a reason to look as any.
        _ = poll(&entries, 2, -1)
        return entries[1].revents == 0 ? .room : .wokenUp
    }
}
