import SluiceCore
import Testing
import Unix

@testable import LaneProtocol

@Suite("Ledger")
struct LedgerTests {
    private func page() throws -> SharedCounters {
        try SharedCounters(mapping: SharedCounters.makeFile(name: "test"))
    }

    @Test("the daemon reads what a lane records")
    func daemonReadsWhatLaneRecords() throws {
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

    @Test("a page that is used again begins a new account, whatever it contained before")
    func reusedPageBeginsNewAccount() throws {
        let page = try page()
        for slot in 0..<SharedCounters.count { page.store(.max, at: slot) }
        var reader = LedgerReader(Ledger(new: page))
        #expect(reader.representation == nil && !reader.isTaken)
        #expect(try reader.read() == LedgerEntry())
        let lane = try #require(Ledger(existing: page))
        lane.markTaken()
        lane.setRepresentation(
            Representation(
                url: "http://h/", sendsHeaders: true, version: Version { _ in nil }, length: 9,
                framing: .length))
        lane.setReceived(9)
        lane.endFill(filled: 9)
        lane.gateClosed(closures: 3, at: 5)
        #expect(try reader.delivered(staged: 0) == 9)
        reader.renew()
        #expect(try reader.read() == LedgerEntry())
        #expect(reader.representation == nil && !reader.isTaken)
        #expect(try reader.delivered(staged: 0) == 0)
        // Damage belongs to the last job, too: it is gone after `renew`.
        lane.endFill(filled: 1)
        #expect(throws: LedgerReader.Damage.self) { try reader.read() }
        reader.renew()
        #expect(try reader.delivered(staged: 0) == 0)
    }

    @Test("the number of the latest answer only grows, and is reset with the lane's attempt")
    func answersGrowWithinAttempt() throws {
        let page = try page()
        let lane = Ledger(new: page)
        var daemon = LedgerReader(try #require(Ledger(existing: page)))
        #expect(daemon.pulse == LedgerPulse())
        lane.answer(3)
        lane.answer(2)
        #expect(daemon.pulse == LedgerPulse(answered: 3))
        lane.setReceived(1)
        #expect(daemon.pulse.counters.received == 1)
        daemon.restart(at: 0, now: 0)
        #expect(daemon.pulse == LedgerPulse())
        lane.answer(1)
        daemon.renew()
        #expect(daemon.pulse == LedgerPulse())
    }

    @Test("a ledger of an earlier version, which has no answers, is read as it is")
    func readsLedgerWithoutAnswers() throws {
        let page = try page()
        // The format and the eight counters of the earlier version, each with a value of its own.
        page.store(0x0001_7375_6c69_6365, at: 0)
        for (slot, value) in [(1, 900), (2, 700 << 1), (3, 200), (4, 4), (5, 5), (6, 0), (7, 1), (8, 0)] {
            page.store(UInt64(value), at: slot)
        }
        var daemon = LedgerReader(try #require(Ledger(existing: page)))
        #expect(try daemon.delivered(staged: 100) == 600)
        #expect(try daemon.read().gateClosures == 4)
        #expect(daemon.isTaken && daemon.representation == nil)
        #expect(daemon.pulse.answered == 0)
    }

    @Test("a page with other content is not a ledger")
    func refusesPageOfOtherFormat() throws {
        let page = try page()
        #expect(Ledger(existing: page) == nil)
        _ = Ledger(new: page)
        #expect(Ledger(existing: page) != nil)
        page.store(7, at: 0)
        #expect(Ledger(existing: page) == nil)
    }

    @Test("outside a fill, the delivered bytes are the filled ones minus the staged ones")
    func deliveredIsFilledMinusStaged() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        #expect(try reader.delivered(staged: 0) == 0)
        ledger.setReceived(100)
        ledger.beginFill(filled: 0)
        // A lane that is killed here leaves a part of the fill in the staging pipe, which counts for nothing.
        #expect(try reader.delivered(staged: 60) == 0)
        ledger.endFill(filled: 100)
        #expect(try reader.delivered(staged: 60) == 40)
        #expect(try reader.delivered(staged: 0) == 100)
        ledger.setReceived(150)
        ledger.beginFill(filled: 100)
        #expect(try reader.delivered(staged: 50) == 100)
    }

    @Test("an account with more bytes staged than filled is damaged")
    func moreStagedThanFilledIsDamage() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.setReceived(100)
        ledger.endFill(filled: 100)
        #expect(throws: LedgerReader.Damage.outOfBounds("101 bytes are staged of 100 filled")) {
            try reader.delivered(staged: 101)
        }
        #expect(throws: LedgerReader.Damage.self) { try reader.delivered(staged: -1) }
    }

    @Test("an account with more bytes filled than received is damaged")
    func moreFilledThanReceivedIsDamage() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.setReceived(99)
        ledger.endFill(filled: 100)
        #expect(throws: LedgerReader.Damage.outOfBounds("100 bytes filled of 99 received")) {
            try reader.read()
        }
    }

    @Test("a counter that shrinks is damage")
    func shrinkingCounterIsDamage() throws {
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

    @Test(
        "absurd numbers never cause a trap, and are damage in the counts of received and filled bytes",
        arguments: [UInt64.max, 1 << 62, 1 << 63, UInt64.max - 1])
    func absurdNumbersDoNotTrap(_ value: UInt64) throws {
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

    // MARK: From one attempt to the next

    @Test("another attempt begins at the byte after the last one that was delivered")
    func nextAttemptBeginsAtNextByte() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.markTaken()
        ledger.setReceived(1000)
        ledger.setBuffered(300)
        ledger.endFill(filled: 700)
        ledger.gateClosed(closures: 3, at: 5_000_000)
        #expect(try reader.delivered(staged: 60) == 640)

        reader.restart(at: 640, now: 8_000_000)
        #expect(
            try reader.delivered(staged: 0) == 640, "fewer than before were filled, and that is no damage")
        let entry = try reader.read()
        #expect(entry.filled == 640 && !entry.isFilling && entry.received == 640 && entry.buffered == 0)
        #expect(entry.gateClosures == 3)
        #expect(
            entry.stalledMicroseconds(now: 9_000_000) == 3000, "the gate is open, and was closed for 3 ms")
        #expect(!reader.isTaken)

        // The next lane continues from there.
        ledger.setReceived(740)
        ledger.beginFill(filled: 640)
        #expect(try reader.delivered(staged: 100) == 640)
        ledger.endFill(filled: 740)
        #expect(try reader.delivered(staged: 40) == 700)
    }

    @Test("a lane that dies during a fill has delivered only the bytes of earlier fills")
    func interruptedFillDeliversNothing() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        ledger.setReceived(500)
        ledger.beginFill(filled: 200)
        #expect(try reader.delivered(staged: 90) == 200)
        reader.restart(at: 200, now: 0)
        #expect(try reader.delivered(staged: 0) == 200)
    }

    @Test("after another attempt has begun, the account is checked as strictly as before")
    func checksAccountAfterRestart() throws {
        let ledger = Ledger(new: try page())
        var reader = LedgerReader(ledger)
        reader.restart(at: 100, now: 0)
        #expect(try reader.delivered(staged: 0) == 100)
        ledger.setReceived(99)
        #expect(throws: LedgerReader.Damage.self) { try reader.read() }
        reader.restart(at: 100, now: 0)
        #expect(throws: LedgerReader.Damage.self, "what was damaged once is not believed again") {
            try reader.read()
        }
    }

    @Test("an attempt can begin at any byte that a body can have", arguments: [0, 1, 1 << 40, (1 << 56) - 1])
    func restartsAtAnyByte(_ position: Int) throws {
        var reader = LedgerReader(Ledger(new: try page()))
        reader.restart(at: position, now: .max)
        #expect(try reader.delivered(staged: 0) == position)
    }

    @Test("absurd counters from a lane do not stop the next attempt, and are bounded for it")
    func absurdCountersDoNotStopRestart() throws {
        for value in [UInt64.max, 1 << 63, UInt64.max - 1, 1 << 62, 31_536_000_000_000_001] {
            for slot in 1...7 {
                let page = try page()
                let ledger = Ledger(new: page)
                var reader = LedgerReader(ledger)
                page.store(value, at: slot)
                for now in [0, 5, value, UInt64.max] {
                    reader.restart(at: 7, now: now)
                    #expect(try reader.delivered(staged: 0) == 7)
                    let entry = try reader.read()
                    #expect(entry.stalledMicroseconds(now: .max) <= 31_536_000_000_000)
                    #expect(entry.closedSinceNanoseconds == 0 && entry.buffered == 0 && !reader.isTaken)
                }
            }
        }
    }

    @Test("another process reads the noted representation, and finds none if the note's length is wrong")
    func otherProcessReadsRepresentation() throws {
        let file = try SharedCounters.makeFile(name: "test")
        let ledger = Ledger(new: try SharedCounters(mapping: file))
        let other = try #require(Ledger(existing: try SharedCounters(mapping: file)))
        #expect(other.representation == nil)
        var representation = Representation(
            url: "http://h/" + String(repeating: "a", count: 8000), sendsHeaders: true,
            version: Version(field: { name in
                name == "etag" ? "\"" + String(repeating: "\\", count: 1000) + "\"" : nil
            }), length: 1 << 40, framing: .length)
        representation.digests = [BodyDigest(algorithm: .sha512, bytes: [UInt8](repeating: 7, count: 64))]
        ledger.setRepresentation(representation)
        #expect(other.representation == representation)
        ledger.restart(at: 5, now: 0)
        #expect(other.representation == representation)
        representation.url = "http://other/"
        ledger.setRepresentation(representation)
        #expect(other.representation == representation)
        let page = try SharedCounters(mapping: file)
        for length in [
            1, 7, UInt64(SharedCounters.noteCapacity), UInt64(SharedCounters.noteCapacity) + 1, .max,
        ] {
            page.store(length, at: 8)
            #expect(other.representation == nil)
        }
    }

    @Test("a note that a lane of 0.2.0 wrote is still read")
    func readsNoteOfOldLane() throws {
        let page = try page()
        let ledger = Ledger(new: page)
        let note = """
            {"url":"http://h/a","sendsHeaders":true,"version":{"strong":{"_0":{"kind":"etag","text":"\\"a\\""}}},\
            "length":5,"framing":"length","refusesRanges":false,"digests":[]}
            """
        #expect(page.storeNote(Array(note.utf8)))
        page.store(UInt64(note.utf8.count), at: 8)
        #expect(
            ledger.representation
                == Representation(
                    url: "http://h/a", sendsHeaders: true,
                    version: .strong(Validator(kind: .etag, text: "\"a\"")), length: 5, framing: .length))
    }

    @Test("a note of a lane that accepted no coded bodies is still read")
    func readsNoteWithoutCoding() throws {
        let page = try page()
        let ledger = Ledger(new: page)
        let known = Representation(
            url: "http://h/a", sendsHeaders: true, version: .strong(Validator(kind: .etag, text: "\"a\"")),
            length: 5, framing: .length,
            digests: [BodyDigest(algorithm: .sha256, bytes: [UInt8](repeating: 7, count: 32))])
        // The last two bytes are the coding, which is absent here, and whether there were cookies.
        for (format, body) in [(UInt8(1), known.packet.dropLast(2)), (2, known.packet[...])] {
            let note = [format] + body
            #expect(page.storeNote(note))
            page.store(UInt64(note.count), at: 8)
            #expect(ledger.representation == known)
        }
        for (format, body) in [
            (UInt8(2), known.packet.dropLast()), (1, known.packet.dropLast()), (1, known.packet[...]),
            (3, known.packet[...]),
        ] {
            let note = [format] + body
            #expect(page.storeNote(note))
            page.store(UInt64(note.count), at: 8)
            #expect(ledger.representation == nil)
        }
    }

    @Test("the coding of a body is noted, and a note with an invalid coding is ignored")
    func ignoresNoteWithInvalidCoding() throws {
        let ledger = Ledger(new: try page())
        var known = Representation(
            url: "http://h/a", sendsHeaders: true, version: .weak, length: 5, framing: .length)
        for coding in ["gzip", "gzip, br", ContentCoding.unreadable] {
            known.coding = coding
            ledger.setRepresentation(known)
            #expect(ledger.representation == known)
        }
        for coding in [
            "", "GZIP", "identity", "gzip,br", "a b", "x-gzip", "\u{1b}[2J",
            String(repeating: "a", count: 65),
        ] {
            known.coding = coding
            ledger.setRepresentation(known)
            #expect(ledger.representation == nil, "\(coding)")
        }
    }
}
