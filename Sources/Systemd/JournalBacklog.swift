/// Entries that did not get to journald.
struct JournalLosses: Equatable, Sendable {
    /// All of them.
    var entries: UInt64 = 0
    /// Of these, the records that must not be lost to noise (`JournalLogHandler.isRecord`).
    var records: UInt64 = 0

    var isNone: Bool { entries == 0 }

    mutating func add(_ other: JournalLosses) {
        entries += other.entries
        records += other.records
    }
}

/// One entry, ready to be sent.
struct JournalEntry: Sendable {
    var bytes: [UInt8]
    var isRecord = false

    var asLoss: JournalLosses { JournalLosses(entries: 1, records: isRecord ? 1 : 0) }
}

/// What waits for journald, and what was lost: the rules of `JournalSocket`, without its system calls.
///
/// Records may fill all of the backlog, other entries an eighth of it: however much of those there is, room for records is
/// left.
struct JournalBacklog: Sendable {
    /// What is to be done with an entry.
    enum Decision: Equatable {
        /// Send it now, after a report of these losses if there are any.
        case send(JournalLosses)
        /// Others wait: it has to wait behind them, after a report of these losses if there are any.
        case wait(JournalLosses)
        /// There is no room for it; it is counted.
        case drop
    }

    /// Bytes that may wait.
    let limit: Int
    /// Bytes that wait, the one that is being sent included.
    private(set) var bytes = 0
    /// Lost from the start on.
    private(set) var lostInAll = JournalLosses()
    /// A thread sends what waits.
    private(set) var isDraining = false
    /// When journald last took an entry that had waited.
    private(set) var lastTaken: ContinuousClock.Instant?

    /// Lost, and not told yet.
    private var untold = JournalLosses()
    private var waiting: [JournalEntry] = []
    private var first = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// What is to be done with an entry. Losses that are to be reported count as told.
    mutating func decide(on entry: JournalEntry) -> Decision {
        guard hasRoom(for: entry) else {
            lost(entry.asLoss)
            return .drop
        }
        defer { untold = JournalLosses() }
        return isDraining ? .wait(untold) : .send(untold)
    }

    /// A report of losses did not get through.
    mutating func wasNotTold(_ losses: JournalLosses) {
        untold.add(losses)
    }

    /// An entry is lost for good.
    mutating func lost(_ losses: JournalLosses) {
        untold.add(losses)
        lostInAll.add(losses)
    }

    /// Puts an entry behind the others.
    ///
    /// - Returns: whether a thread has to be started to send what waits.
    mutating func append(_ entry: JournalEntry) -> Bool {
        waiting.append(entry)
        bytes += entry.bytes.count
        defer { isDraining = true }
        return !isDraining
    }

    /// The next entry to be sent; nil where none waits, and then the thread is to end.
    mutating func next() -> JournalEntry? {
        guard first < waiting.count else {
            waiting = []
            first = 0
            isDraining = false
            return nil
        }
        if first >= 1024 {
            waiting.removeFirst(first)
            first = 0
        }
        defer { first += 1 }
        return waiting[first]
    }

    /// The entry that `next` gave was sent, or is lost.
    mutating func done(_ entry: JournalEntry, isSent: Bool, at now: ContinuousClock.Instant) {
        bytes -= entry.bytes.count
        if isSent { lastTaken = now } else { lost(entry.asLoss) }
    }

    /// No thread can be had: all that waits is lost.
    mutating func abandon() {
        while let entry = next() { done(entry, isSent: false, at: .now) }
    }

    /// More than half of the room is taken, although journald takes entries: it is slower than what it is told.
    func isBehind(at now: ContinuousClock.Instant) -> Bool {
        guard bytes > limit / 2, let lastTaken else { return false }
        return now - lastTaken < .seconds(5)
    }

    private func hasRoom(for entry: JournalEntry) -> Bool {
        bytes == 0 || bytes + entry.bytes.count <= (entry.isRecord ? limit : limit / 8)
    }
}
