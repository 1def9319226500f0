import SluiceCore
import Testing
import UnixSockets

@Suite("Ledger")
struct LedgerTests {
    private func page() throws -> SharedCounters {
        try SharedCounters(mapping: SharedCounters.makeFile(name: "test"))
    }

    @Test("what a lane records is what the daemon reads")
    func roundTrip() throws {
        let page = try page()
        let lane = Ledger(new: page)
        let daemon = try #require(Ledger(existing: page))
        lane.setReceived(1000)
        lane.setBuffered(300)
        lane.beginFill(filled: 0)
        #expect(daemon.read().isFilling)
        lane.endFill(filled: 700)
        lane.gateClosed(closures: 3, at: 5_000_000)
        let entry = daemon.read()
        #expect(entry.filled == 700 && !entry.isFilling && entry.received == 1000 && entry.buffered == 300)
        #expect(entry.gateClosures == 3)
        #expect(entry.stalledMicroseconds(now: 6_000_000) == 1000)
        lane.gateOpened(stalledNanoseconds: 2_000_000)
        #expect(daemon.read().stalledMicroseconds(now: 9_000_000) == 2000)
    }

    @Test("a page that holds something else is no ledger")
    func format() throws {
        let page = try page()
        #expect(Ledger(existing: page) == nil)
        _ = Ledger(new: page)
        #expect(Ledger(existing: page) != nil)
        page.store(7, at: 0)
        #expect(Ledger(existing: page) == nil)
    }

    @Test("outside a fill, delivered is what was filled without what is staged")
    func delivered() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        #expect(try reader.delivered(staged: 0) == 0)
        ledger.setReceived(100)
        ledger.beginFill(filled: 0)
        // Killed here: part of the fill is in the staging pipe and counts for nothing.
        #expect(try reader.delivered(staged: 60) == 0)
        ledger.endFill(filled: 100)
        #expect(try reader.delivered(staged: 60) == 40)
        #expect(try reader.delivered(staged: 0) == 100)
        ledger.setReceived(150)
        ledger.beginFill(filled: 100)
        #expect(try reader.delivered(staged: 50) == 100)
    }

    @Test("more staged than filled is damage")
    func stagedTooMuch() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.setReceived(100)
        ledger.endFill(filled: 100)
        #expect(throws: LedgerReader.Damage.outOfBounds("101 bytes are staged of 100 filled")) {
            try reader.delivered(staged: 101)
        }
        #expect(throws: LedgerReader.Damage.self) { try reader.delivered(staged: -1) }
    }

    @Test("more filled than received is damage")
    func filledTooMuch() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.setReceived(99)
        ledger.endFill(filled: 100)
        #expect(throws: LedgerReader.Damage.outOfBounds("100 bytes filled of 99 received")) {
            try reader.read()
        }
    }

    @Test("a counter that shrinks is damage")
    func shrinking() throws {
        func damage(_ change: (Ledger) -> Void) throws {
            let ledger = Ledger(new: try page())
            var reader = LedgerReader(ledger)
            ledger.setReceived(100)
            ledger.endFill(filled: 50)
            ledger.gateClosed(closures: 2, at: 1)
            _ = try reader.read()
            change(ledger)
            #expect(throws: LedgerReader.Damage.self) { try reader.read() }
        }
        try damage { $0.setReceived(99) }
        try damage { $0.endFill(filled: 49) }
        try damage { $0.gateClosed(closures: 1, at: 1) }
    }

    @Test("absurd numbers are damage, not a trap", arguments: [UInt64.max, 1 << 62, 1 << 63, UInt64.max - 1])
    func absurd(_ value: UInt64) throws {
        for slot in 1...6 {
            let page = try page()
            let ledger = Ledger(new: page)
            var reader = LedgerReader(ledger)
            page.store(value, at: slot)
            let entry = ledger.read()
            _ = entry.stalledMicroseconds(now: 5)
            switch slot {
            case 1, 2: #expect(throws: LedgerReader.Damage.self) { try reader.delivered(staged: 0) }
            default: #expect(try reader.delivered(staged: 0) == 0)
            }
        }
    }
}
