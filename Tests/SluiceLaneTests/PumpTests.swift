import FoundationEssentials
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix

@testable import SluiceLane

/// The pump with real pipes and a real ledger. The test plays the session's thread and the loop's thread.
@Suite("The pump")
struct PumpTests {
    static let pattern = Pattern(seed: 55)

    /// A pump and its surroundings.
    final class Bench: Sendable {
        let pump: Pump
        let ledger: Ledger
        let events = Monitor<[PumpEvent]>([])
        let read: Monitor<CInt>
        private let staging: OwnedDescriptor
        /// The position of the first byte that is delivered.
        private let start: Int

        init(
            high: Int, low: Int, maximumSize: Int? = nil, position: Int = 0, parkAfter: Double = 20,
            isGrown: Bool = false, rate: Int? = nil
        ) throws {
            // A lane ignores it, too.
            signal(SIGPIPE, SIG_IGN)
            var parameters = Ingest.FetchParameters(url: "http://h/")
            parameters.highWatermark = high
            parameters.lowWatermark = low
            parameters.maximumSize = maximumSize
            let request = try JobRequest(parameters, settings: Settings())
            ledger = Ledger(
                new: try SharedCounters(mapping: SharedCounters.makeFile(name: "test")))
            let stage = try Pipe()
            staging = try stage.readEnd.reopenedForReadingAndWriting()
            if isGrown { _ = try staging.setPipeCapacity(PumpStateMachine.gatherSize) }
            let consumer = try Pipe()
            read = Monitor(try consumer.readEnd.duplicate().release())
            var gate = Settings.Gate()
            gate.stalledAfterSeconds = 0.05
            var parking = Settings.Parking()
            parking.afterSeconds = parkAfter
            if position > 0 { ledger.restart(at: position, now: Monotonic.nanoseconds()) }
            var order = LaneOrder(
                serial: 1, request: request, gate: gate, parking: parking, position: position)
            order.rate = rate
            start = position
            pump = try Pump(
                sink: consumer.writeEnd.duplicate(),
                account: LaneAccount(ledger: ledger, staging: staging.duplicate()), room: RoomWait(),
                order: order,
                marks: request.marks,
                notify: { [events] event in events.update { $0.append(event) } })
        }

        deinit { closeReader() }

        func closeReader() {
            read.update { descriptor in
                if descriptor >= 0 { _ = OwnedDescriptor(adopting: descriptor) }
                descriptor = -1
            }
        }

        /// Starts the consumer.
        func reader(_ pace: ThreadedReader.Pace = .full) throws -> ThreadedReader {
            let descriptor = read.update { descriptor in
                defer { descriptor = -1 }
                return descriptor
            }
            return try ThreadedReader(
                OwnedDescriptor(adopting: descriptor), expecting: PumpTests.pattern, from: start,
                pace: pace)
        }

        /// Delivers a range on a thread of its own, as URLSession does.
        func deliver(_ range: Range<Int>, chunk: Int) -> TestThread {
            TestThread { [pump] in
                for start in stride(from: range.lowerBound, to: range.upperBound, by: chunk) {
                    pump.deliver(
                        Data(PumpTests.pattern.bytes(start..<min(start + chunk, range.upperBound))))
                }
            }
        }

        /// Delivered bytes according to the ledger, computed as the daemon does.
        func delivered() throws -> Int {
            var reader = LedgerReader(ledger)
            return try reader.delivered(staged: staging.readableBytes())
        }

        func saw(_ wanted: (PumpEvent) -> Bool) -> Bool { events.read { $0.contains(where: wanted) } }

        func waitFor(_ wanted: @escaping (PumpEvent) -> Bool) throws {
            guard events.wait(until: Deadline(), { $0.contains(where: wanted) }) else {
                throw TestFailure("the pump did not say so: \(events.read { $0 })")
            }
        }
    }

    @Test(
        "chunks of any size are delivered byte for byte",
        arguments: [
            (1, 0, 7), (1000, 10, 71), (65_536, 0, 16_384), (1 << 20, 1 << 18, 16_384), (5, 4, 100_000),
        ])
    func deliversChunksOfAnySize(_ high: Int, _ low: Int, _ chunk: Int) throws {
        let bench = try Bench(high: high, low: low)
        let size = 1_000_003
        let reader = try bench.reader(.pieces(9973))
        let session = bench.deliver(0..<size, chunk: chunk)
        session.join()
        bench.pump.originEnded()
        // The loop writes the rest when there is room.
        try eventually("everything is passed on") {
            _ = bench.pump.pushAll()
            return bench.saw { if case .drained = $0 { true } else { false } }
        }
        try reader.waitForCount(size)
        #expect(reader.report.firstMismatch == nil)
        #expect(try bench.delivered() == size)
        #expect(bench.pump.received == size)
    }

    @Test("behind a closed gate the pump takes no more bytes, and the buffered bytes are bounded")
    func closedGateBoundsBufferedBytes() throws {
        let bench = try Bench(high: 100_000, low: 50_000)
        let session = bench.deliver(0..<10_000_000, chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        let entry = bench.ledger.read()
        // The maximum is the pipe, the staging pipe, the high watermark and one chunk.
        #expect(entry.received <= 65536 + 100_000 + 16_384)
        #expect(entry.buffered >= 100_000 && entry.buffered < 100_000 + 16_384)
        let reader = try bench.reader()
        session.join()
        bench.pump.originEnded()
        try eventually("everything is passed on") {
            _ = bench.pump.pushAll()
            return bench.saw { if case .drained = $0 { true } else { false } }
        }
        try reader.waitForCount(10_000_000)
        #expect(reader.report.firstMismatch == nil)
        #expect(bench.ledger.read().gateClosures > 0)
        #expect(bench.ledger.read().stalledNanoseconds > 0)
    }

    @Test("ending the pump from the loop's thread opens the gate, and nothing is written afterwards")
    func endOpensGateAndStopsWriting() throws {
        let bench = try Bench(high: 100_000, low: 0)
        let session = bench.deliver(0..<10_000_000, chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        #expect(bench.pump.end() == true)
        #expect(bench.pump.end() == false)
        let delivered = try bench.delivered()
        session.join()
        #expect(try bench.delivered() == delivered)
        let reader = try bench.reader()
        try reader.waitForCount(delivered)
        bench.pump.originEnded()
        #expect(!bench.saw { if case .drained = $0 { true } else { false } })
    }

    @Test("a consumer that goes away is noticed by the write, and by a thread that waits behind the gate")
    func noticesThatConsumerHasGone() throws {
        let bench = try Bench(high: 1, low: 0)
        let session = bench.deliver(0..<1_000_000, chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        bench.closeReader()
        session.join()
        #expect(bench.saw { if case .consumerGone = $0 { true } else { false } })
    }

    @Test("a body larger than the limit ends, and no byte past the limit is delivered")
    func endsBodyOverLimit() throws {
        let bench = try Bench(high: 1 << 20, low: 0, maximumSize: 100_000)
        let reader = try bench.reader()
        let session = bench.deliver(0..<1_000_000, chunk: 16_384)
        session.join()
        #expect(bench.saw { if case .tooLarge = $0 { true } else { false } })
        let delivered = try bench.delivered()
        #expect(delivered <= 100_000)
        try reader.waitForCount(delivered)
        #expect(reader.report.firstMismatch == nil)
    }

    @Test("a tick delivers the bytes that are left when the origin pauses")
    func tickDeliversAfterOriginPauses() throws {
        let bench = try Bench(high: 1 << 20, low: 0)
        let reader = try bench.reader()
        bench.pump.deliver(Data(Self.pattern.bytes(0..<1000)))
        bench.pump.deliver(Data(Self.pattern.bytes(1000..<2000)))
        try eventually("the second chunk is there, too") {
            _ = bench.pump.tick()
            return reader.count == 2000
        }
        #expect(try bench.delivered() == 2000)
    }

    @Test("a stall that is reported while the origin trickles makes the loop watch for room")
    func watchesForRoomWhileOriginTrickles() throws {
        let bench = try Bench(high: 1 << 20, low: 0)
        var position = 200_000
        bench.pump.deliver(Data(Self.pattern.bytes(0..<position)))
        var tick = bench.pump.tick()
        try eventually("the stall is told") {
            bench.pump.deliver(Data(Self.pattern.bytes(position..<position + 10)))
            position += 10
            tick = bench.pump.tick()
            return if case .stalled = tick.next { true } else { false }
        }
        #expect(tick.wantsRoom)
    }

    @Test("a pipe that stays full is reported as stalled, and as flowing once the consumer reads")
    func reportsStallAndFlow() throws {
        let bench = try Bench(high: 1 << 20, low: 0)
        bench.pump.deliver(Data(Self.pattern.bytes(0..<200_000)))
        try eventually("the stall is told") {
            if case .stalled = bench.pump.tick().next { true } else { false }
        }
        let reader = try bench.reader()
        try eventually("the rest goes") {
            _ = bench.pump.pushAll()
            return bench.saw { if case .flowing = $0 { true } else { false } }
        }
        bench.pump.originEnded()
        try eventually("everything is passed on") {
            _ = bench.pump.pushAll()
            return reader.count == 200_000
        }
    }

    @Test("a consumer that takes many bytes in a short time counts as fast, even if the origin is faster")
    func recognizesFastConsumer() throws {
        let bench = try Bench(high: 64 << 10, low: 16 << 10)
        let reader = try bench.reader(.stopAt(64 << 10))
        let session = bench.deliver(0..<(8 << 20), chunk: 16 << 10)
        try eventually("the gate has closed") { bench.ledger.read().gateClosures > 0 }
        reader.release()
        session.join()
        try bench.waitFor { if case .keepsUp = $0 { true } else { false } }
        // The daemon has grown the staging pipe, whether it is known here or not, so the lane must not keep this
        // account for another job.
        #expect(!bench.pump.stagingIsOrdinary)
        _ = reader
    }

    @Test("the origin's silence counts only while it is the origin's turn")
    func silenceCountsOnOriginsTurn() throws {
        let bench = try Bench(high: 1000, low: 0)
        #expect(bench.pump.originSilence() != nil)
        let session = bench.deliver(0..<200_000, chunk: 16_384)
        try eventually("the gate has closed") { bench.ledger.read().closedSinceNanoseconds > 0 }
        #expect(bench.pump.originSilence() == nil)
        _ = bench.pump.end()
        session.join()
        #expect(bench.pump.originSilence() == nil)
    }

    // MARK: The rate

    @Test("a rate limit loses no bytes, and its waits count as neither the origin's nor the consumer's time")
    func rateLimitLosesNothing() throws {
        let bench = try Bench(high: 1 << 20, low: 0, rate: 1 << 20)
        let reader = try bench.reader()
        let start = ContinuousClock.now
        let session = bench.deliver(0..<(1 << 19), chunk: 1 << 16)
        try eventually("it waits") { bench.pump.originSilence() == nil }
        session.join()
        let time = start.duration(to: .now)
        #expect(time >= .milliseconds(400), "\(time)")
        let pace = try #require(bench.pump.originPace())
        #expect(pace.openTime < 200_000_000, "\(pace.openTime) ns of \(time) count as the origin's")
        #expect(bench.ledger.read().gateClosures == 0)
        bench.pump.originEnded()
        try reader.waitForCount(1 << 19)
        #expect(reader.report.firstMismatch == nil)
    }

    @Test(
        "the pump delivers what it has before it waits for the rate; the job's end or a new rate ends the wait"
    )
    func jobEndStopsRateWait() throws {
        let bench = try Bench(high: 1 << 20, low: 0, rate: TokenBucket.leastRate)
        let reader = try bench.reader()
        // At this rate the delivery would take about an hour.
        let session = bench.deliver(0..<(64 << 10), chunk: 32 << 10)
        try reader.waitForCount(32 << 10)
        bench.pump.setRate(nil)
        session.join()
        _ = bench.pump.pushAll()
        try reader.waitForCount(64 << 10)
        bench.pump.setRate(TokenBucket.leastRate)
        let rest = bench.deliver((64 << 10)..<(256 << 10), chunk: 64 << 10)
        try eventually("it waits") { bench.pump.originSilence() == nil }
        #expect(bench.pump.end())
        rest.join()
        #expect(reader.report.firstMismatch == nil)
    }
}
