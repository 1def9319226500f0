internal import FoundationEssentials
public import SluiceCore
public import Unix

/// The shared page in which a lane keeps the account of its job, and which the daemon reads.
///
/// The lane is the only writer. Its account answers one question exactly, even when the lane is killed between any two
/// instructions: *how many bytes has the consumer's pipe received?* A counter that is written after `splice(2)` cannot
/// answer it, because the kill may come between the two. The bytes therefore go through a staging pipe, which is filled
/// only when it is empty:
///
///     mark "filling"  →  write into the staging pipe  →  record filled, unmark  →  splice to the consumer
///
/// - Killed outside a fill: the consumer has `filled` minus what is left in the staging pipe, because `splice` moves
///   bytes from one pipe to the other in one step of the kernel.
/// - Killed in a fill: the consumer has `filled` as last recorded, because no byte of this fill has been passed on.
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
        // Added later. An older service leaves it at zero and never reads it, so the format is the same.
        static let answered = 9
    }

    /// "sluice", version 1.
    private static let format: UInt64 = 0x0001_7375_6c69_6365

    /// The first byte of a note. The first format had no coding, and before it a note was JSON. The store may hold jobs
    /// of services that wrote these.
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

    /// Begins a new account: all counters are set to zero, whatever the page contained. No other process may write to
    /// the page at that time.
    public init(new page: SharedCounters) {
        self.page = page
        for slot in Slot.received...Slot.answered { page.store(0, at: slot) }
        page.store(Self.format, at: Slot.format)
    }

    /// Opens an account that another process began; nil if the page holds no account.
    public init?(existing page: SharedCounters) {
        guard page.load(Slot.format) == Self.format else { return nil }
        self.page = page
    }

    /// Begins a new account on the same page.
    func renewed() -> Ledger { Ledger(new: page) }

    // MARK: The lane's side

    /// Records that the lane has taken the order: from now on the job may be the cause of the lane's death.
    public func markTaken() { page.store(1, at: Slot.taken) }

    /// Records the body's representation before its first byte is passed on. A daemon that finds delivered bytes in
    /// this ledger thus also finds how to continue them, even if the lane and the daemon that started it are gone.
    public func setRepresentation(_ representation: Representation) {
        page.store(0, at: Slot.noteLength)
        // All parts are bounded, far below the room in the page. Without a note the body cannot be continued.
        let bytes = [Self.noteFormat] + representation.packet
        guard page.storeNote(bytes) else { return }
        page.store(UInt64(bytes.count), at: Slot.noteLength)
    }

    /// Records the bytes of the body that have come from the origin so far.
    public func setReceived(_ bytes: Int) { page.store(UInt64(bytes), at: Slot.received) }

    /// Records the bytes that wait in the lane's memory.
    public func setBuffered(_ bytes: Int) { page.store(UInt64(bytes), at: Slot.buffered) }

    /// Marks that a fill of the (empty) staging pipe begins.
    public func beginFill(filled: Int) { page.store(UInt64(filled) << 1 | 1, at: Slot.staged) }

    /// Records that the fill has ended: `filled` bytes have gone into the staging pipe since the job began.
    public func endFill(filled: Int) { page.store(UInt64(filled) << 1, at: Slot.staged) }

    /// Records that the gate closed, at a moment of CLOCK_MONOTONIC in ns.
    public func gateClosed(closures: Int, at nanoseconds: UInt64) {
        page.store(UInt64(closures), at: Slot.gateClosures)
        page.store(nanoseconds, at: Slot.closedSince)
    }

    /// Records that the gate is open, and for how long it has been closed in total.
    public func gateOpened(stalledNanoseconds: UInt64) {
        page.store(stalledNanoseconds, at: Slot.stalledNanoseconds)
        page.store(0, at: Slot.closedSince)
    }

    /// Answers the daemon's question with this number: the lane is alive. An answer to an older question changes nothing.
    public func answer(_ number: UInt64) {
        if number > page.load(Slot.answered) { page.store(number, at: Slot.answered) }
    }

    // MARK: The daemon's side

    /// Fixes the number of bytes that the consumer has, so that the staging pipe can be emptied. From now on the ledger
    /// reads as if a fill had been interrupted, so the bytes that are still staged do not count.
    public func freeze(at position: Int) { beginFill(filled: position) }

    /// The representation that the delivered bytes belong to; nil if no lane has recorded one, or an implausible one.
    public var representation: Representation? {
        guard let length = Int(exactly: page.load(Slot.noteLength)), length > 0,
            let bytes = page.loadNote(length), let representation = Self.decode(bytes),
            representation.isPlausible()
        else { return nil }
        return representation
    }

    /// Begins again at a byte, after the last lane has released the ledger and before the next one takes it: no other
    /// process writes then.
    ///
    /// Gate closures and stalled time keep their values.
    public func restart(at position: Int, now: UInt64) {
        // What a lane wrote is a claim: it counts for a year at most.
        let stalled = min(read().stalledMicroseconds(now: now), 31_536_000_000_000)
        gateOpened(stalledNanoseconds: UInt64(stalled) * 1000)
        setBuffered(0)
        setReceived(position)
        endFill(filled: position)
        page.store(0, at: Slot.answered)
        page.store(0, at: Slot.taken)
    }

    /// Whether a lane has taken the order.
    public var isTaken: Bool { page.load(Slot.taken) != 0 }

    /// The signs of life. They are claims of the lane: compare them, and do not compute with them.
    public var pulse: LedgerPulse { LedgerPulse(counters: read(), answered: page.load(Slot.answered)) }

    /// Reads every counter once. What a lane wrote must not be trusted before `LedgerReader` has checked it.
    public func read() -> LedgerEntry {
        // The order of the loads matters: a lane records bytes as received before it records them as filled. A reader
        // that loads `staged` first never sees filled > received.
        let staged = page.load(Slot.staged)
        return LedgerEntry(
            filled: staged >> 1, isFilling: staged & 1 == 1, received: page.load(Slot.received),
            buffered: page.load(Slot.buffered), gateClosures: page.load(Slot.gateClosures),
            stalledNanoseconds: page.load(Slot.stalledNanoseconds),
            closedSinceNanoseconds: page.load(Slot.closedSince))
    }
}

/// The signs of life in a ledger: if two readings differ, the lane has run in between. The values are unchecked: a lane
/// that writes false ones harms only its own job.
public struct LedgerPulse: Sendable, Equatable {
    /// The counters, which change while bytes move.
    public var counters = LedgerEntry()
    /// The number of the last question that the lane has answered; 0 if there is none.
    public var answered: UInt64 = 0

    /// No sign of life yet.
    public init() {}

    init(counters: LedgerEntry = LedgerEntry(), answered: UInt64) {
        self.counters = counters
        self.answered = answered
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
    /// Number of times that the gate closed.
    public var gateClosures: UInt64 = 0
    /// How long the gate was closed in total, without the present closure.
    public var stalledNanoseconds: UInt64 = 0
    /// When the gate closed (CLOCK_MONOTONIC); 0 while it is open.
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

    /// Every body must be smaller than this, in bytes (64 PiB). Sums of many such sizes do not overflow.
    private static let limit: UInt64 = 1 << 56

    private let ledger: Ledger
    private var last = LedgerEntry()
    private var damage: Damage?

    /// A reader for one job.
    public init(_ ledger: Ledger) {
        self.ledger = ledger
    }

    /// Begins the account of another job on the same page, whatever the last job left there (`Ledger.init(new:)`).
    public mutating func renew() {
        self = LedgerReader(ledger.renewed())
    }

    /// Fixes the number of bytes that the consumer has (`Ledger.freeze`).
    public func freeze(at position: Int) { ledger.freeze(at: position) }

    /// The representation that the delivered bytes belong to (`Ledger.representation`).
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

    /// Whether a lane has taken the order.
    public var isTaken: Bool { ledger.isTaken }

    /// The signs of life (`Ledger.pulse`). A damaged ledger has them as well.
    public var pulse: LedgerPulse { ledger.pulse }

    /// The number of bytes that the consumer's pipe has received.
    ///
    /// The number is exact once the lane has ended. While the lane runs, it may be outdated, because the ledger and the
    /// staging pipe are read at different moments.
    ///
    /// - Parameter staged: bytes that are left in the staging pipe (FIONREAD).
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
