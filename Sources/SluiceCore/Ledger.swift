internal import FoundationEssentials
public import UnixSockets

/// The page in which a lane keeps the account of its job, and the daemon reads along.
///
/// The lane is the only writer. Its account answers one question exactly, even when the lane is killed between any two
/// instructions: *how many bytes has the consumer's pipe got?* A counter written after `splice(2)` cannot, for the
/// kill may fall between the two. So the bytes go through a staging pipe, which is filled only when it is empty:
///
///     mark "filling"  →  write into the staging pipe  →  record filled, unmark  →  splice to the consumer
///
/// - Killed outside a fill: the consumer has `filled` minus what is left in the staging pipe, and `splice` moves bytes
///   from one to the other in one step of the kernel.
/// - Killed in a fill: the consumer has `filled` as last recorded, because nothing of this fill has been passed on.
///
/// The mark and the number share one word, so that no kill can separate them.
public struct Ledger: Sendable {
    private enum Slot {
        static let format = 0
        static let received = 1
        static let staged = 2
        static let buffered = 3
        static let gateClosures = 4
        static let stalledNanoseconds = 5
        static let closedSince = 6
        static let taken = 7
        static let noteLength = 8
    }

    /// "sluice", version 1.
    private static let format: UInt64 = 0x0001_7375_6c69_6365

    /// What a note begins with. The first format had no coding, and before it a note was JSON: jobs of such services may
    /// be in the store.
    private static let noteFormat: UInt8 = 2
    private static let noteFormatWithoutCoding: UInt8 = 1

    private static func decode(_ note: [UInt8]) -> Representation? {
        switch note.first {
        case noteFormat: Representation(packet: Array(note.dropFirst()))
        case noteFormatWithoutCoding: Representation(packetWithoutCoding: Array(note.dropFirst()))
        case UInt8(ascii: "{"): try? JSONDecoder().decode(Representation.self, from: Data(note))
        default: nil
        }
    }

    private let page: SharedCounters

    /// A new account, all zero, whatever the page has held: nobody else writes then.
    public init(new page: SharedCounters) {
        self.page = page
        for slot in Slot.received...Slot.noteLength { page.store(0, at: slot) }
        page.store(Self.format, at: Slot.format)
    }

    /// The account that somebody else began; nil where the page holds something else.
    public init?(existing page: SharedCounters) {
        guard page.load(Slot.format) == Self.format else { return nil }
        self.page = page
    }

    /// Begins a new account on the same page.
    func renewed() -> Ledger { Ledger(new: page) }

    // MARK: The lane's side

    /// Records that the lane has the order: from now on its death may be the job's doing.
    public func markTaken() { page.store(1, at: Slot.taken) }

    /// Records what the body is of, before the first byte of it is passed on: whoever finds delivered bytes in this
    /// ledger also finds how to continue them, whatever has become of the lane and of its daemon.
    public func setRepresentation(_ representation: Representation) {
        page.store(0, at: Slot.noteLength)
        // All of it is bounded, far below the room that there is. Without it the body cannot be continued.
        let bytes = [Self.noteFormat] + representation.packet
        guard page.storeNote(bytes) else { return }
        page.store(UInt64(bytes.count), at: Slot.noteLength)
    }

    /// Records the bytes of the body that came from the origin so far.
    public func setReceived(_ bytes: Int) { page.store(UInt64(bytes), at: Slot.received) }

    /// Records the bytes that wait in the lane's memory.
    public func setBuffered(_ bytes: Int) { page.store(UInt64(bytes), at: Slot.buffered) }

    /// Marks that a fill of the (empty) staging pipe begins.
    public func beginFill(filled: Int) { page.store(UInt64(filled) << 1 | 1, at: Slot.staged) }

    /// Records that it has ended: `filled` bytes have gone into the staging pipe since the job began.
    public func endFill(filled: Int) { page.store(UInt64(filled) << 1, at: Slot.staged) }

    /// Records that the gate closed, at a moment of CLOCK_MONOTONIC in ns.
    public func gateClosed(closures: Int, at nanoseconds: UInt64) {
        page.store(UInt64(closures), at: Slot.gateClosures)
        page.store(nanoseconds, at: Slot.closedSince)
    }

    /// Records that the gate is open, after it has been closed for so long altogether.
    public func gateOpened(stalledNanoseconds: UInt64) {
        page.store(stalledNanoseconds, at: Slot.stalledNanoseconds)
        page.store(0, at: Slot.closedSince)
    }

    // MARK: The daemon's side

    /// Fixes what the consumer has, so that the staging pipe can be emptied: a death in between is read as one in a
    /// fill, and the bytes that are still staged do not count.
    public func freeze(at position: Int) { beginFill(filled: position) }

    /// What the delivered bytes are of; nil where no lane has recorded it, or nothing that can be.
    public var representation: Representation? {
        guard let length = Int(exactly: page.load(Slot.noteLength)), length > 0,
            let bytes = page.loadNote(length), let representation = Self.decode(bytes),
            representation.isPlausible()
        else { return nil }
        return representation
    }

    /// Begins again at a byte, after the last lane has let go and before the next one begins: nobody else writes then.
    ///
    /// Gate closures and stalled time go on from where they are.
    public func restart(at position: Int, now: UInt64) {
        // What a lane wrote is a claim: a year of it is enough.
        let stalled = min(read().stalledMicroseconds(now: now), 31_536_000_000_000)
        gateOpened(stalledNanoseconds: UInt64(stalled) * 1000)
        setBuffered(0)
        setReceived(position)
        endFill(filled: position)
        page.store(0, at: Slot.taken)
    }

    /// Whether a lane has had the order in its hands.
    public var isTaken: Bool { page.load(Slot.taken) != 0 }

    /// Reads every counter once. What a lane wrote is not to be trusted before `LedgerReader` has looked at it.
    public func read() -> LedgerEntry {
        // In this order: what was filled had been received before, so a reader never sees filled > received.
        let staged = page.load(Slot.staged)
        return LedgerEntry(
            filled: staged >> 1, isFilling: staged & 1 == 1, received: page.load(Slot.received),
            buffered: page.load(Slot.buffered), gateClosures: page.load(Slot.gateClosures),
            stalledNanoseconds: page.load(Slot.stalledNanoseconds),
            closedSinceNanoseconds: page.load(Slot.closedSince))
    }
}

/// The counters of a ledger at one moment, as found.
public struct LedgerEntry: Sendable, Equatable {
    /// Bytes that have gone into the staging pipe.
    public var filled: UInt64 = 0
    /// A fill has begun and is not recorded yet.
    public var isFilling = false
    /// Bytes that came from the origin.
    public var received: UInt64 = 0
    /// Bytes in the lane's memory.
    public var buffered: UInt64 = 0
    /// How often the gate closed.
    public var gateClosures: UInt64 = 0
    /// How long it was closed, without the time since it last closed.
    public var stalledNanoseconds: UInt64 = 0
    /// When it closed (CLOCK_MONOTONIC); 0 while it is open.
    public var closedSinceNanoseconds: UInt64 = 0

    /// How long the gate was closed until `now`, in µs.
    public func stalledMicroseconds(now: UInt64) -> Int {
        let open = closedSinceNanoseconds
        let current = open > 0 && now > open ? now - open : 0
        return Int(clamping: stalledNanoseconds.addingReportingOverflow(current).partialValue / 1000)
    }
}

/// Reads a ledger as untrusted input: counters only grow, and none can be larger than what it is a part of.
public struct LedgerReader: Sendable {
    /// A ledger that contradicts itself.
    public enum Damage: Error, Equatable {
        /// A counter that only grows has shrunk.
        case wentBackwards(String)
        /// More bytes have passed a point than have reached it.
        case outOfBounds(String)
    }

    /// No body is larger, in bytes: 64 PiB. Sums of many of them still fit.
    private static let limit: UInt64 = 1 << 56

    private let ledger: Ledger
    private var last = LedgerEntry()
    private var damage: Damage?

    /// A reader for one job.
    public init(_ ledger: Ledger) {
        self.ledger = ledger
    }

    /// Begins the account of another job on the same page, whatever the last one has left (`Ledger.init(new:)`).
    public mutating func renew() {
        self = LedgerReader(ledger.renewed())
    }

    /// Fixes what the consumer has (`Ledger.freeze`).
    public func freeze(at position: Int) { ledger.freeze(at: position) }

    /// What the delivered bytes are of (`Ledger.representation`).
    public var representation: Representation? { ledger.representation }

    /// Sets the ledger back for another attempt (`Ledger.restart`).
    public mutating func restart(at position: Int, now: UInt64) {
        ledger.restart(at: position, now: now)
        last = LedgerEntry()
    }

    /// The counters now.
    ///
    /// - Throws: `Damage`; from then on nothing in this ledger can be relied on.
    public mutating func read() throws(Damage) -> LedgerEntry {
        if let damage { throw damage }
        let entry = ledger.read()
        do {
            try Self.check(entry, after: last)
        } catch {
            damage = error
            throw error
        }
        last = entry
        return entry
    }

    /// Whether a lane has had the order in its hands.
    public var isTaken: Bool { ledger.isTaken }

    /// How many bytes the consumer's pipe has got, exactly.
    ///
    /// Of a lane that runs it is a value between two moments, of one that has ended the truth.
    ///
    /// - Parameter staged: what is left in the staging pipe (FIONREAD).
    /// - Throws: `Damage`.
    public mutating func delivered(staged: Int) throws(Damage) -> Int {
        let entry = try read()
        if entry.isFilling { return Int(entry.filled) }
        guard staged >= 0, UInt64(staged) <= entry.filled else {
            throw .outOfBounds("\(staged) bytes are staged of \(entry.filled) filled")
        }
        return Int(entry.filled) - staged
    }

    static func check(_ entry: LedgerEntry, after last: LedgerEntry) throws(Damage) {
        guard entry.received < limit, entry.filled <= entry.received else {
            throw .outOfBounds("\(entry.filled) bytes filled of \(entry.received) received")
        }
        guard entry.received >= last.received, entry.filled >= last.filled else {
            throw .wentBackwards(
                "received \(last.received) to \(entry.received), filled \(last.filled) to \(entry.filled)")
        }
        guard entry.gateClosures >= last.gateClosures else {
            throw .wentBackwards("gate closures \(last.gateClosures) to \(entry.gateClosures)")
        }
    }
}
