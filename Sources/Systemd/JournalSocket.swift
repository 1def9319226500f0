internal import CSystemd
internal import CUnix
internal import Glibc
internal import Synchronization
internal import UnixSockets

/// Sends entries to journald, and never waits for it.
///
/// `sd_journal_sendv(3)` blocks while journald's queue is full, which a hung journald makes for ever, and a service
/// that waits there misses its watchdog. Its socket is the library's own; so a second one, connected to the same
/// place, is asked first whether the queue has room (for a datagram socket that is what POLLOUT says, `unix(7)`).
/// Where there is none the entry is dropped and counted, and the next one that gets through says how many were.
/// Another process may take the last place between the question and the answer; then we wait until journald reads.
///
/// ## Concurrency model
/// Any thread may send. The lock guards the probe and the count; entries are sent outside it.
final class JournalSocket: Sendable {
    static let shared = JournalSocket(path: "/run/systemd/journal/socket", send: sendToJournal)

    private struct State: ~Copyable {
        var probe: OwnedDescriptor?
        var dropped: UInt64 = 0
        var droppedInAll: UInt64 = 0
    }

    private let path: String
    private let sendNow: @Sendable ([JournalField]) -> Bool
    private let state = Mutex(State())

    /// - Parameters:
    ///   - path: where journald listens.
    ///   - send: sends an entry there; false where it failed.
    init(path: String, send: @escaping @Sendable ([JournalField]) -> Bool) {
        self.path = path
        sendNow = send
    }

    /// Entries that were not sent, from the start on.
    var droppedInAll: UInt64 { state.withLock { $0.droppedInAll } }

    /// Sends one entry.
    ///
    /// - Parameter reportDropped: makes the entry that says how many were dropped before this one.
    func send(_ fields: [JournalField], reportDropped: (UInt64) -> [JournalField]) {
        let before: UInt64? = state.withLock { state in
            guard Self.hasRoom(&state.probe, path) else {
                state.dropped += 1
                state.droppedInAll += 1
                return nil
            }
            defer { state.dropped = 0 }
            return state.dropped
        }
        guard let before else { return }
        if before > 0, !sendNow(reportDropped(before)) {
            state.withLock { $0.dropped += before }
        }
        guard !sendNow(fields) else { return }
        state.withLock { state in
            state.dropped += 1
            state.droppedInAll += 1
        }
    }

    private static func sendToJournal(_ fields: [JournalField]) -> Bool {
        // One buffer and pieces of it, because the pieces have to stay where they are until the call.
        var buffer: [UInt8] = []
        var ends: [Int] = []
        for field in fields {
            buffer.append(contentsOf: field.bytes)
            ends.append(buffer.count)
        }
        return buffer.withUnsafeMutableBytes { bytes in
            var start = 0
            let pieces = ends.map { end in
                defer { start = end }
                return iovec(iov_base: bytes.baseAddress.map { $0 + start }, iov_len: end - start)
            }
            return sd_journal_sendv(pieces, CInt(pieces.count)) >= 0
        }
    }

    private static func hasRoom(_ probe: inout OwnedDescriptor?, _ path: String) -> Bool {
        // Once more with a new probe, in case journald's socket was made anew since.
        for _ in 0..<2 {
            if probe == nil { probe = connect(to: path) }
            guard let events = poll(probe) else {
                // Nobody there: sd_journal_sendv(3) finds that out too, at once, and ignores it.
                return true
            }
            if events & Int16(POLLERR | POLLHUP | POLLNVAL) == 0 { return events & Int16(POLLOUT) != 0 }
            probe = nil
        }
        return true
    }

    private static func poll(_ probe: borrowing OwnedDescriptor?) -> Int16? {
        guard let number = rawValue(probe) else { return nil }
        var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
        return Glibc.poll(&entry, 1, 0) >= 0 ? entry.revents : nil
    }

    private static func rawValue(_ probe: borrowing OwnedDescriptor?) -> CInt? {
        switch probe {
        case .some(let descriptor): descriptor.rawValue
        case .none: nil
        }
    }

    private static func connect(to path: String) -> OwnedDescriptor? {
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = socket(AF_UNIX, type, 0)
        guard number >= 0 else { return nil }
        let descriptor = OwnedDescriptor(adopting: number)
        guard cunix_connect_unix(number, path) == 0 else { return nil }
        return .some(descriptor)
    }
}
