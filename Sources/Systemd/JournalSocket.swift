internal import CUnix
internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import UnixSockets

/// Sends entries to journald, and does not wait for it: a hung journald must not make a hung service.
///
/// An entry is a datagram in journald's own form (systemd.io/JOURNAL_NATIVE_PROTOCOL), or a sealed memory file where it is
/// too large for one. `sd_journal_sendv(3)` does the same and blocks while journald's queue is full, which a hung
/// journald makes for ever. Here an entry that finds no room within some milliseconds is dropped and counted, the ones
/// after it are given no time at all, and the first that gets through says how many were lost.
///
/// The socket is not connected, so a journald whose own socket was made anew is found by the next entry.
///
/// ## Concurrency model
/// Any thread may send. The lock guards the count; entries are sent outside it.
final class JournalSocket: Sendable {
    static let shared = JournalSocket(path: "/run/systemd/journal/socket")

    private struct State {
        var dropped: UInt64 = 0
        var droppedInAll: UInt64 = 0
    }

    /// What an entry may wait for room, in tries with a pause of a millisecond before each but the first: journald may
    /// just be behind.
    private static let tries = 50

    private let path: String
    private let socket: OwnedDescriptor
    private let state = Mutex(State())

    /// - Parameter path: where journald listens.
    init(path: String) {
        self.path = path
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        socket = OwnedDescriptor(adopting: Glibc.socket(AF_UNIX, type, 0))
    }

    /// Entries that were not sent, from the start on.
    var droppedInAll: UInt64 { state.withLock { $0.droppedInAll } }

    /// Sends one entry.
    ///
    /// - Parameter reportDropped: makes the entry that says how many were dropped before this one.
    func send(_ fields: [JournalField], reportDropped: (UInt64) -> [JournalField]) {
        let before = state.withLock { state in
            defer { state.dropped = 0 }
            return state.dropped
        }
        if before > 0, !deliver(reportDropped(before), patiently: false) {
            return countOne(before: before)
        }
        if !deliver(fields, patiently: before == 0) { countOne(before: 0) }
    }

    /// One more was dropped, and `before` are still to be reported.
    private func countOne(before: UInt64) {
        state.withLock { state in
            state.dropped += before + 1
            state.droppedInAll += 1
        }
    }

    private func deliver(_ fields: [JournalField], patiently: Bool) -> Bool {
        let entry = fields.reduce(into: [UInt8]()) { $0 += $1.bytes }
        for attempt in 0..<(patiently ? Self.tries : 1) {
            // poll(2) has no news of another datagram socket's queue that could be waited for.
            if attempt > 0 { usleep(1000) }
            switch sendDatagram(entry) {
            case nil: return true
            case .wouldBlock: continue
            case .messageTooLong, .noBufferSpace: return sendFile(entry)
            case _?: return false
            }
        }
        return false
    }

    /// - Parameter file: a descriptor to send along.
    private func sendDatagram(_ bytes: [UInt8], file: CInt = -1) -> Errno? {
        cunix_send_datagram(socket.rawValue, path, bytes, bytes.count, file) < 0
            ? Errno(rawValue: errno) : nil
    }

    private func sendFile(_ entry: [UInt8]) -> Bool {
        let file = OwnedDescriptor(adopting: cunix_memfd("journal-entry"))
        // journald maps it, so it must not change any more.
        guard file.rawValue >= 0, write(file.rawValue, entry, entry.count) == entry.count,
            cunix_seal_content(file.rawValue) == 0
        else { return false }
        return sendDatagram([], file: file.rawValue) == nil
    }
}
