/// Numbers of entries that did not reach journald.
struct JournalLosses: Equatable, Sendable {
    /// All entries.
    var entries: UInt64 = 0
    /// The records among them, which other entries must not displace (`JournalLogHandler.isRecord`).
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

/// The entries that wait for journald, and the number of lost ones: the rules of `JournalSocket`, without its system
/// calls.
///
/// Records may fill all of the backlog, other entries an eighth of it. However many other entries there are, there is
/// room left for records.
struct JournalBacklog: Sendable {
    /// What the caller must do with an entry.
    enum Decision: Equatable {
        /// Send it now, after a report of these losses if there are any.
        case send(JournalLosses)
        /// Put it behind those that wait, after a report of these losses if there are any.
        case wait(JournalLosses)
        /// Drop it: there is no room for it. It is already counted.
        case drop
    }

    /// Maximum number of bytes that wait.
    let limit: Int
    /// Bytes that wait, with the entry that is being sent.
    private(set) var bytes = 0
    /// Losses since the start.
    private(set) var lostInAll = JournalLosses()
    /// Whether a thread sends what waits.
    private(set) var isDraining = false
    /// When journald last took an entry that had waited.
    private(set) var lastTaken: ContinuousClock.Instant?

    /// Losses that are not reported yet.
    private var untold = JournalLosses()
    private var waiting: [JournalEntry] = []
    private var first = 0

    init(limit: Int) {
        self.limit = limit
    }

    /// Decides what to do with an entry. From then on the losses in the decision count as reported.
    mutating func decide(on entry: JournalEntry) -> Decision {
        guard hasRoom(for: entry) else {
            lost(entry.asLoss)
            return .drop
        }
        defer { untold = JournalLosses() }
        return isDraining ? .wait(untold) : .send(untold)
    }

    /// Called when a report of losses did not get through.
    mutating func wasNotTold(_ losses: JournalLosses) {
        untold.add(losses)
    }

    /// Called when entries are lost.
    mutating func lost(_ losses: JournalLosses) {
        untold.add(losses)
        lostInAll.add(losses)
    }

    /// Puts an entry behind the others.
    ///
    /// - Returns: whether the caller must start a thread to send what waits.
    mutating func append(_ entry: JournalEntry) -> Bool {
        waiting.append(entry)
        bytes += entry.bytes.count
        defer { isDraining = true }
        return !isDraining
    }

    /// The next entry to be sent; nil where none waits, and then the thread must end.
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

    /// Called when the entry that `next` returned was sent or is lost.
    mutating func done(_ entry: JournalEntry, isSent: Bool, at now: ContinuousClock.Instant) {
        bytes -= entry.bytes.count
        if isSent { lastTaken = now } else { lost(entry.asLoss) }
    }

    /// Called when no thread can be started: everything that waits is lost.
    mutating func abandon() {
        while let entry = next() { done(entry, isSent: false, at: .now) }
    }

    /// Whether more than half of the room is taken although journald takes entries: it is slower than the entries
    /// come.
    func isBehind(at now: ContinuousClock.Instant) -> Bool {
        guard bytes > limit / 2, let lastTaken else { return false }
        return now - lastTaken < .seconds(5)
    }

    private func hasRoom(for entry: JournalEntry) -> Bool {
        bytes == 0 || bytes + entry.bytes.count <= (entry.isRecord ? limit : limit / 8)
    }
}
