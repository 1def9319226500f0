import FoundationEssentials
import Glibc
import LaneProtocol
import SluiceCore
import TestKit
import Testing
import Unix

@testable import SluiceLane

/// A pump that begins in the middle of a body, and one whose consumer stops reading.
@Suite("The pump, in the middle of a body")
struct PumpPositionTests {
    static let start = 1_234_567

    private func isDrained(_ bench: PumpTests.Bench) -> Bool {
        bench.saw { if case .drained = $0 { true } else { false } }
    }

    @Test(
        "the account continues at the position where the pump begins",
        arguments: [(1, 0, 7), (65_536, 0, 16_384)])
    func accountContinuesAtPosition(_ high: Int, _ low: Int, _ chunk: Int) throws {
        let bench = try PumpTests.Bench(high: high, low: low, position: Self.start)
        #expect(bench.pump.delivered == Self.start)
        #expect(bench.pump.received == Self.start)
        #expect(try bench.delivered() == Self.start)
        let size = 300_001
        let reader = try bench.reader(.pieces(9973))
        let session = bench.deliver(Self.start..<Self.start + size, chunk: chunk)
        session.join()
        bench.pump.originEnded()
        try eventually("everything is passed on") {
            _ = bench.pump.pushAll()
            return isDrained(bench)
        }
        try reader.waitForCount(size)
        #expect(reader.report.firstMismatch == nil)
        #expect(try bench.delivered() == Self.start + size)
        #expect(bench.pump.received == Self.start + size)
    }

    @Test("the size limit applies to the whole body, including the bytes before the pump's position")
    func limitCoversWholeBody() throws {
        let bench = try PumpTests.Bench(
            high: 1 << 20, low: 0, maximumSize: Self.start + 1000, position: Self.start)
        bench.pump.deliver(Data(PumpTests.pattern.bytes(Self.start..<Self.start + 1000)))
        #expect(!bench.saw { if case .tooLarge = $0 { true } else { false } })
        bench.pump.deliver(Data(PumpTests.pattern.bytes(Self.start + 1000..<Self.start + 1001)))
        #expect(bench.saw { if case .tooLarge = $0 { true } else { false } })
    }

    // MARK: Held and released

    /// Plays the loop's thread until the pump reports the wanted event.
    private func tickUntil(
        _ what: String, _ bench: PumpTests.Bench, _ wanted: @escaping (PumpEvent) -> Bool
    ) throws {
        var isStalled = false
        try eventually("the pump says \(what)") {
            if isStalled {
                _ = bench.pump.checkHold()
            } else if case .stalled = bench.pump.tick().next {
                isStalled = true
            }
            return bench.saw(wanted)
        }
    }

    private let held: (PumpEvent) -> Bool = { if case .held = $0 { true } else { false } }
    private let released: (PumpEvent) -> Bool = { if case .released = $0 { true } else { false } }

    @Test("a consumer that does not read holds the pump after the time that the order gives, and not before")
    func holdsAfterOrdersTime() throws {
        let bench = try PumpTests.Bench(high: 1 << 20, low: 0, parkAfter: 0.3)
        let began = ContinuousClock.now
        bench.pump.deliver(Data(PumpTests.pattern.bytes(0..<200_000)))
        // This counts even when the origin has no more bytes.
        bench.pump.originEnded()
        try tickUntil("that it is held", bench, held)
        #expect(began.duration(to: .now) >= .milliseconds(300))
        #expect(!bench.saw(released))
        #expect(bench.pump.checkHold() == nil)
        let reader = try bench.reader()
        try eventually("the rest goes") {
            _ = bench.pump.pushAll()
            return reader.count == 200_000
        }
        #expect(bench.events.read { $0.filter(held).count } == 1)
        #expect(bench.events.read { $0.filter(released).count } == 1)
    }

    @Test("behind a closed gate a consumer that reads slowly also holds the pump, until the gate opens")
    func slowConsumerHoldsUntilGateOpens() throws {
        let bench = try PumpTests.Bench(high: 500_000, low: 100_000, parkAfter: 0.3)
        let session = bench.deliver(0..<700_000, chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        // The consumer reads one page at a time, so slowly that the gate stays closed for longer than that.
        let reader = try bench.reader(.slow(piece: 4096, pause: .milliseconds(10)))
        try eventually("the pump says that it is held") {
            _ = bench.pump.tick()
            return bench.saw(held)
        }
        #expect(bench.ledger.read().closedSinceNanoseconds > 0)
        #expect(!bench.saw(released))
        try eventually("the gate opens") {
            _ = bench.pump.tick()
            return bench.saw(released)
        }
        session.join()
        bench.pump.originEnded()
        try eventually("the rest goes") {
            _ = bench.pump.pushAll()
            return reader.count == 700_000
        }
    }

    @Test("a consumer that keeps reading never holds the pump")
    func readingConsumerNeverHolds() throws {
        let bench = try PumpTests.Bench(high: 100_000, low: 50_000, parkAfter: 5)
        let reader = try bench.reader()
        let session = bench.deliver(0..<10_000_000, chunk: 16_384)
        try eventually("everything is read") {
            _ = bench.pump.tick()
            _ = bench.pump.pushAll()
            return reader.count == 10_000_000
        }
        session.join()
        _ = bench.pump.end()
        #expect(!bench.saw(held))
    }
}
