import Glibc
import LaneProtocol
import SluiceCore
import TestKit
import Testing
import Unix

@testable import SluiceLane

/// Both threads of a lane write: the loop's thread writes a large body while the session's thread receives more of
/// it.
@Suite("The pump's two threads")
struct PumpThreadsTests {
    private typealias Bench = PumpTests.Bench

    /// Plays the loop until it is told to stop: carries out what events ask for, and ticks in each turn.
    private final class Loop: Sendable {
        private let isOver = Monitor(false)
        private let thread: Monitor<TestThread?> = Monitor(nil)

        init(_ bench: Bench, alsoEndsAfter turns: Int? = nil) {
            let thread = TestThread { [isOver] in
                var handled = 0
                var turn = 0
                while !isOver.read({ $0 }) {
                    // Ticks and hand-overs alternate as they come: the pump must accept any order.
                    _ = bench.events.wait(until: Deadline(exactly: .milliseconds(1))) { $0.count > handled }
                    let events = bench.events.read { $0 }
                    for case .gathered in events[handled...] { bench.pump.pushGathered() }
                    handled = events.count
                    _ = bench.pump.tick()
                    turn += 1
                    if turn == turns { _ = bench.pump.end() }
                }
            }
            self.thread.update { $0 = thread }
        }

        func stop() {
            isOver.update { $0 = true }
            thread.read { $0 }?.join()
        }
    }

    @Test(
        "a large body is delivered unchanged, whichever thread writes it and at any pace of the reader",
        arguments: [ThreadedReader.Pace.full, .pieces(100_003), .pieces(4096)])
    func largeBodyIsUnchanged(_ pace: ThreadedReader.Pace) throws {
        let size = 48 << 20
        let bench = try Bench(high: 1 << 20, low: 256 << 10, isGrown: true)
        let loop = Loop(bench)
        defer { loop.stop() }
        let reader = try bench.reader(pace)
        let session = bench.deliver(0..<size, chunk: 16_384)
        session.join()
        bench.pump.originEnded()
        try bench.waitFor { if case .drained = $0 { true } else { false } }
        try reader.waitForCount(size)
        #expect(reader.report.firstMismatch == nil)
        #expect(try bench.delivered() == size)
        #expect(bench.saw { if case .gathered = $0 { true } else { false } })
    }

    @Test("a small body is written by the session's thread, on which it arrives")
    func sessionWritesSmallBody() throws {
        let bench = try Bench(high: 1 << 20, low: 256 << 10, isGrown: true)
        let reader = try bench.reader()
        let session = bench.deliver(0..<(1 << 20) - 1, chunk: 16_384)
        session.join()
        #expect(!bench.saw { if case .gathered = $0 { true } else { false } })
        bench.pump.originEnded()
        try eventually("it is passed on") {
            _ = bench.pump.pushAll(); return bench.pump.delivered == (1 << 20) - 1
        }
        #expect(reader.report.firstMismatch == nil)
    }

    @Test(
        "after the pump's end nothing is written and the account is exact, whatever the other thread was doing"
    )
    func writesNothingAfterEnd() throws {
        for turn in 1...60 {
            let bench = try Bench(high: 1 << 20, low: 256 << 10, isGrown: true)
            let reader = try bench.reader()
            let loop = Loop(bench, alsoEndsAfter: turn % 20 + 1)
            let session = bench.deliver(0..<(16 << 20), chunk: 16_384)
            session.join()
            _ = bench.pump.end()
            let delivered = try bench.delivered()
            loop.stop()
            #expect(try bench.delivered() == delivered)
            #expect(bench.pump.delivered == delivered)
            try reader.waitForCount(delivered)
            #expect(reader.report.firstMismatch == nil)
            #expect(reader.report.count == delivered)
        }
    }

    @Test(
        "behind a closed gate the session's thread writes and goes on, even if the loop's thread is asked to write"
    )
    func sessionWritesBehindClosedGate() throws {
        let bench = try Bench(high: 1 << 20, low: 256 << 10, isGrown: true)
        let session = bench.deliver(0..<(8 << 20), chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        #expect(bench.pump.originSilence() == nil)
        let before = bench.pump.received
        let descriptor = bench.read.read { $0 }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        try eventually("the origin goes on") {
            _ = read(descriptor, &buffer, buffer.count)
            bench.pump.pushGathered()
            return bench.pump.received > before
        }
        _ = bench.pump.end()
        session.join()
    }
}
