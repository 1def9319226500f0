internal import CUnix
internal import Glibc
internal import Synchronization
internal import SystemPackage
internal import Unix

/// Sends entries to journald. The caller that logs never waits for journald, so a journald that hangs does not make
/// the service hang.
///
/// An entry is a datagram in journald's own form (systemd.io/JOURNAL_NATIVE_PROTOCOL), or a sealed memory file where
/// it is too large for one. `sd_journal_sendv(3)` does the same, but blocks while journald's queue is full; with a
/// journald that hangs it would block without end. Here an entry that finds no room goes into a backlog
/// (`JournalBacklog`), which a thread sends: the kernel wakes the thread as soon as there is room. The thread exists
/// only while entries wait. An entry for which the backlog has no room is dropped and counted, and the next entry
/// that gets through reports the number of lost entries.
///
/// The socket is not connected, so the next entry finds a journald that has made its own socket anew.
///
/// ## Concurrency model
/// Any thread may send. The lock guards the backlog; entries are sent outside it. While the thread sends, all others
/// only append, so entries arrive in the order in which they were logged.
final class JournalSocket: Sendable {
    static let shared = JournalSocket(path: "/run/systemd/journal/socket")

    /// How many times the thread tries to send a record while there is no journald, and the pause between two tries
    /// in µs. Only the first entry after journald has gone gets all these tries.
    private static let tries = 50
    private static let pause: UInt32 = 100_000
    /// Maximum time of one wait for room, in seconds. After it the thread looks up journald's socket again.
    private static let longestWait = 1

    private enum Sent {
        case yes
        /// journald's queue is full, or this process's share of the kernel's memory for it is used up.
        case full
        /// journald is not there, or the entry cannot be sent at all.
        case failed
    }

    private let path: String
    private let socket: OwnedDescriptor
    private let backlog: Mutex<JournalBacklog>

    /// - Parameters:
    ///   - path: where journald listens.
    ///   - limit: the maximum number of bytes that wait for it.
    init(path: String, limit: Int = 8 << 20) {
        self.path = path
        socket = Self.makeSocket(SOCK_NONBLOCK.rawValue)
        backlog = Mutex(JournalBacklog(limit: limit))
    }

    private static func makeSocket(_ flags: UInt32) -> OwnedDescriptor {
        let type = CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | flags)
        return OwnedDescriptor(adopting: Glibc.socket(AF_UNIX, type, 0))
    }

    /// Entries that were not sent, since the start of the process.
    var lostInAll: JournalLosses { backlog.withLock { $0.lostInAll } }

    /// Whether journald takes entries, but more slowly than they come.
    var isBehind: Bool { backlog.withLock { $0.isBehind(at: .now) } }

    /// Waits until no entry waits any more, but no longer than `time`. For the end of a process.
    func flush(within time: Duration) {
        let end = ContinuousClock.now + time
        while backlog.withLock({ $0.isDraining }), ContinuousClock.now < end {
            // A process waits here once at most, at its end. Checking every millisecond is enough for that, so the
            // thread needs no way to wake a waiting one.
            usleep(1000)
        }
    }

    /// Sends one entry, or puts it into the backlog.
    ///
    /// - Parameters:
    ///   - isRecord: other entries must not take its place.
    ///   - report: makes the entry that reports the number of entries lost before this one.
    func send(_ fields: [JournalField], isRecord: Bool = false, report: (JournalLosses) -> [JournalField]) {
        let entry = JournalEntry(bytes: Self.encode(fields), isRecord: isRecord)
        switch backlog.withLock({ $0.decide(on: entry) }) {
        case .drop:
            break
        case .wait(let losses):
            if !losses.isNone { put(Self.reportEntry(losses, report)) }
            put(entry)
        case .send(let losses):
            guard losses.isNone || sendNow(losses, report, before: entry) else { return }
            sendNow(entry)
        }
    }

    /// - Returns: whether the entry itself still has to be sent.
    private func sendNow(
        _ losses: JournalLosses, _ report: (JournalLosses) -> [JournalField], before entry: JournalEntry
    ) -> Bool {
        let told = Self.reportEntry(losses, report)
        switch transmit(told.bytes, through: socket, dontWait: true) {
        case .yes:
            return true
        case .full:
            put(told)
            put(entry)
        case .failed:
            backlog.withLock { backlog in
                backlog.wasNotTold(losses)
                backlog.lost(entry.asLoss)
            }
        }
        return false
    }

    private func sendNow(_ entry: JournalEntry) {
        switch transmit(entry.bytes, through: socket, dontWait: true) {
        case .yes: break
        case .full: put(entry)
        case .failed: backlog.withLock { $0.lost(entry.asLoss) }
        }
    }

    private func put(_ entry: JournalEntry) {
        guard backlog.withLock({ $0.append(entry) }) else { return }
        do {
            try DetachedThread.start(blockingSignals: true) { [self] in drain() }
        } catch {
            backlog.withLock { $0.abandon() }
        }
    }

    private static func encode(_ fields: [JournalField]) -> [UInt8] {
        fields.reduce(into: []) { $0 += $1.bytes }
    }

    private static func reportEntry(
        _ losses: JournalLosses, _ report: (JournalLosses) -> [JournalField]
    ) -> JournalEntry {
        JournalEntry(bytes: encode(report(losses)))
    }

    // MARK: The thread

    private func drain() {
        let patient = Self.makeSocket(0)
        var time = timeval(tv_sec: Self.longestWait, tv_usec: 0)
        setsockopt(
            patient.rawValue, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var triesLeft = Self.tries
        while let entry = backlog.withLock({ $0.next() }) {
            let isSent = deliver(entry, through: patient, &triesLeft)
            backlog.withLock { $0.done(entry, isSent: isSent, at: .now) }
        }
    }

    private func deliver(
        _ entry: JournalEntry, through patient: borrowing OwnedDescriptor, _ triesLeft: inout Int
    ) -> Bool {
        while true {
            switch transmit(entry.bytes, through: patient, dontWait: false) {
            case .yes:
                triesLeft = Self.tries
                return true
            case .full:
                continue
            case .failed:
                guard entry.isRecord, triesLeft > 0 else { return false }
                triesLeft -= 1
                // A new journald gives no sign. Its socket's path has to be tried.
                usleep(Self.pause)
            }
        }
    }

    // MARK: System calls

    private func transmit(
        _ bytes: [UInt8], through socket: borrowing OwnedDescriptor, dontWait: Bool
    ) -> Sent {
        switch sendDatagram(bytes, through: socket, dontWait: dontWait) {
        case nil: .yes
        case .wouldBlock, .interrupted: .full
        case .messageTooLong, .noBufferSpace: sendFile(bytes, through: socket, dontWait: dontWait)
        case _?: .failed
        }
    }

    /// - Parameter file: a descriptor to send along.
    private func sendDatagram(
        _ bytes: [UInt8], file: CInt = -1, through socket: borrowing OwnedDescriptor, dontWait: Bool
    ) -> Errno? {
        cunix_send_datagram(socket.rawValue, path, bytes, bytes.count, file, dontWait) < 0
            ? Errno(rawValue: errno) : nil
    }

    private func sendFile(
        _ entry: [UInt8], through socket: borrowing OwnedDescriptor, dontWait: Bool
    ) -> Sent {
        let file = OwnedDescriptor(adopting: cunix_memfd("journal-entry"))
        // journald maps the file, so its content must not change any more.
        guard file.rawValue >= 0, write(file.rawValue, entry, entry.count) == entry.count,
            cunix_seal_content(file.rawValue) == 0
        else { return .failed }
        switch sendDatagram([], file: file.rawValue, through: socket, dontWait: dontWait) {
        case nil: return .yes
        case .wouldBlock, .interrupted: return .full
        case _?: return .failed
        }
    }
}
