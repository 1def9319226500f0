import SluiceCore
import TestKit
import Testing

/// The decisions of a pump, without its pipes and threads. The tests play both, and the clock.
@Suite("The decisions of a pump")
struct PumpStateMachineTests {
    private static let millisecond: UInt64 = 1_000_000
    private let second: UInt64 = 1_000_000_000
    private let chunk = 16 << 10

    private func machine(
        high: Int = 4 << 20, low: Int = 1 << 20, maximumSize: Int? = nil, position: Int = 0,
        capacity: Int = PumpStateMachine.gatherSize, rate: Int? = nil,
        closuresBefore: UInt64 = 0, closedBefore: UInt64 = 0
    ) throws -> PumpStateMachine {
        PumpStateMachine(
            position: position, marks: try Watermarks(high: high, low: low), maximumSize: maximumSize,
            stagingCapacity: capacity, stalledAfter: 1, parkAfter: 20, rate: rate,
            closuresBefore: closuresBefore, closedBefore: closedBefore, at: 0)
    }

    /// `#expect` cannot evaluate calls that change a value.
    private func expect<Value: Equatable>(
        _ value: Value, is wanted: Value, at location: SourceLocation = #_sourceLocation
    ) {
        #expect(value == wanted, sourceLocation: location)
    }

    /// Writes as a thread would, to a consumer that has `room`.
    private func write(
        _ machine: inout PumpStateMachine, everything: Bool = true, room: inout Int, at now: UInt64
    ) -> [PumpEvent] {
        var events: [PumpEvent] = []
        machine.beginsToWrite()
        while true {
            switch machine.nextStep(everything: everything) {
            case .fill(let limit): machine.fills(min(limit, machine.received - machine.filled), at: now)
            case .passOn(let staged):
                guard room > 0 else {
                    machine.isFull()
                    return events
                }
                let moved = min(room, staged)
                room -= moved
                _ = machine.passesOn(moved, &events, at: now)
            case .none: return events
            }
        }
    }

    @Test(
        "the first bytes after a pause are written at once, later ones are gathered until a tick finds a pause"
    )
    func writesFirstBytesAtOnce() throws {
        var machine = try machine()
        var room = Int.max
        var now = 10 * Self.millisecond
        expect(machine.arrives(100, at: now), is: .keep(.now(everything: true)))
        expect(write(&machine, room: &room, at: now), is: [])
        #expect(machine.delivered == 100)
        now += Self.millisecond / 2
        expect(machine.arrives(chunk, at: now), is: .keep(.later(handsOver: false, startsTicking: true)))
        expect(machine.arrives(chunk, at: now), is: .keep(.later(handsOver: false, startsTicking: false)))

        var events: [PumpEvent] = []
        now += Self.millisecond
        var look = machine.tickBegins(at: now)
        #expect(look.hasArrived && !look.isDue, "the origin has not paused")
        expect(
            machine.tickEnds(hasArrived: true, &events, at: now),
            is: PumpTick(next: .after(milliseconds: 1), wantsRoom: false))
        now += Self.millisecond
        look = machine.tickBegins(at: now)
        #expect(!look.hasArrived && look.isDue)
        expect(write(&machine, room: &room, at: now), is: [])
        #expect(machine.delivered == 100 + 2 * chunk)
        expect(
            machine.tickEnds(hasArrived: false, &events, at: now),
            is: PumpTick(next: .never, wantsRoom: false))
        #expect(events.isEmpty)
    }

    @Test("a byte does not wait longer than 5 ms for a larger write, however fast the next ones arrive")
    func limitsGatheringTime() throws {
        var machine = try machine()
        var now: UInt64 = 0
        var due: UInt64?
        while due == nil {
            now += Self.millisecond
            _ = machine.arrives(10, at: now)
            if machine.tickBegins(at: now).isDue { due = now }
        }
        #expect(due == PumpStateMachine.longestGather + 2 * Self.millisecond)
    }

    @Test("the receiving thread writes a small body itself, and hands a large one over, once at a time")
    func handsOverOnlyLargeBodies() throws {
        var machine = try machine(high: 64 << 20, low: 32 << 20)
        var room = Int.max
        while machine.received + chunk < PumpStateMachine.largeBody {
            switch machine.arrives(chunk, at: 1) {
            case .keep(.now(everything: false)):
                #expect(machine.received - machine.filled == PumpStateMachine.gatherSize)
                _ = write(&machine, everything: false, room: &room, at: 1)
            case .keep(.later(handsOver: false, _)): break
            case let other: Issue.record("\(other) at \(machine.received)")
            }
        }
        var handedOver = 0
        for _ in 0..<100 {
            if case .keep(.later(handsOver: true, _)) = machine.arrives(chunk, at: 1) { handedOver += 1 }
        }
        #expect(handedOver == 1)
        expect(machine.takesOver(), is: true)
        _ = write(&machine, everything: false, room: &room, at: 1)
        #expect(
            machine.received - machine.filled < PumpStateMachine.gatherSize,
            "what is left makes no full write")
    }

    @Test("the gate closes at the high watermark, opens at the low one, and only a waiting thread is woken")
    func gateFollowsTheWatermarks() throws {
        var machine = try machine(high: 100_000, low: 50_000, capacity: 64 << 10)
        var room = 0
        expect(machine.arrives(60_000, at: 1), is: .keep(.later(handsOver: false, startsTicking: true)))
        expect(machine.arrives(40_000, at: 1), is: .keep(.now(everything: true)))
        expect(write(&machine, room: &room, at: 2), is: [])
        #expect(machine.isGateClosed && machine.closures == 1 && !machine.needsWatch)
        #expect(machine.originSilence(at: 100 * second) == nil, "it is not the origin's turn")
        expect(machine.awaitsRoom(), is: true)
        expect(machine.takesOver(), is: false)
        #expect(machine.endsWait)
        machine.hasWaited()
        room = 49_999
        _ = write(&machine, room: &room, at: 3)
        expect(machine.awaitsRoom(), is: true)
        #expect(machine.buffered == 50_001)
        machine.hasWaited()
        room = 1
        _ = write(&machine, room: &room, at: 4)
        expect(machine.awaitsRoom(), is: false)
        #expect(!machine.endsWait && machine.closedTime == 3)
        #expect(machine.originSilence(at: 10) == 6)
    }

    @Test(
        "a consumer that reads nothing is checked less and less often, reported as stalled, and then watched")
    func checksStalledConsumerLessOften() throws {
        var machine = try machine(capacity: 64 << 10)
        var room = 0
        var now = 10 * Self.millisecond
        expect(machine.arrives(1000, at: now), is: .keep(.now(everything: true)))
        _ = write(&machine, room: &room, at: now)
        expect(machine.startsTicking(), is: true)
        _ = machine.tickBegins(at: now)
        var events: [PumpEvent] = []
        var waits: [Int] = []
        var hold: Int?
        while hold == nil {
            switch machine.tickEnds(hasArrived: false, &events, at: now).next {
            case .after(let milliseconds):
                waits.append(milliseconds)
                now += UInt64(milliseconds) * Self.millisecond
            case .stalled(let holdAfter): hold = holdAfter
            case .never: Issue.record("bytes wait")
            }
        }
        #expect(waits.prefix(7) == [2, 4, 8, 16, 32, 64, 128] && waits.reduce(0, +) <= 1001)
        #expect(events.isEmpty && machine.needsWatch)
        // The watch attends to the bytes.
        expect(machine.startsTicking(), is: false)

        now += UInt64(hold ?? 0) * Self.millisecond
        expect(machine.checkHold(&events, at: now), is: nil)
        #expect(events == [.held])
        room = 1000
        expect(write(&machine, room: &room, at: now), is: [.released, .flowing])
        expect(machine.checkHold(&events, at: now), is: nil)
        expect(machine.tickEnds(hasArrived: false, &events, at: now).next, is: .never)
    }

    @Test("a body may reach its size limit, counted from its beginning, but not exceed it")
    func limitsSizeFromBeginning() throws {
        var machine = try machine(maximumSize: 1000, position: 400)
        expect(machine.arrives(600, at: 1), is: .keep(.later(handsOver: false, startsTicking: true)))
        expect(machine.arrives(1, at: 1), is: .tooLarge)
        #expect(machine.received == 1000)
    }

    @Test(
        "a rate limit makes the session wait, which does not count against the origin; an end stops the wait")
    func rateLimitPausesSession() throws {
        var machine = try machine(rate: 1 << 20)
        _ = machine.arrives(1 << 20, at: second)
        let wait = machine.pauses(at: second)
        #expect(wait > 0 && wait <= second && machine.isPaused && !machine.endsWait)
        #expect(machine.originSilence(at: 2 * second) == nil)
        #expect(
            machine.originPace(at: 2 * second)
                == OriginPace(openTime: second, received: 1 << 20, isHeldBack: true))
        expect(machine.ends(at: 2 * second), is: false)
        #expect(machine.endsWait)
        expect(machine.pauses(at: 2 * second), is: 0)
        #expect(!machine.endsWait)
    }

    @Test(
        "bytes that the consumer already had count for the rate limit, but not as received bytes of the body")
    func skippedBytesCountForRate() throws {
        var machine = try machine(position: 100, rate: 1 << 20)
        machine.skips(1 << 20, at: second)
        expect(machine.pauses(at: second) > 0, is: true)
        #expect(machine.received == 100 && machine.originPace(at: second)?.received == 100 + (1 << 20))
    }

    @Test(
        "after the origin's end arriving bytes are dropped, and the body ends when its last byte is passed on"
    )
    func endsWithLastDeliveredByte() throws {
        var machine = try machine()
        var room = 10
        _ = machine.arrives(30, at: 1)
        machine.originEnds()
        expect(machine.arrives(1, at: 1), is: .drop)
        #expect(machine.originPace(at: 1) == nil)
        _ = write(&machine, room: &room, at: 2)
        #expect(!machine.isDrained && machine.delivered == 10)
        room = 20
        _ = write(&machine, room: &room, at: 2)
        #expect(machine.isDrained && machine.delivered == 30)
        _ = machine.ends(at: 3)
        machine.originEnds()
        #expect(machine.hasEnded && !machine.isDrained && machine.nextStep(everything: true) == .none)
    }

    @Test(
        "gate closures and stalled time are summed over all attempts, and what another lane claims is bounded"
    )
    func sumsStalledTimeOfAttempts() throws {
        for (closures, closed) in [(UInt64(5), UInt64(7_000_000)), (.max, .max)] {
            var machine = try machine(
                high: 1000, low: 0, capacity: 65_536, closuresBefore: closures, closedBefore: closed)
            let before = (machine.closures, machine.closedTime)
            var room = 1000
            expect(machine.arrives(1000, at: 1), is: .keep(.now(everything: true)))
            expect(write(&machine, room: &room, at: 2_000_001), is: [])
            #expect(machine.closures == before.0 + 1 && machine.closedTime == before.1 + 2_000_000)
        }
    }

    /// What the threads of a pump do, at random and in any order that the locks allow.
    @Test("in any order of events no byte is lost, the buffer is bounded, and waiting bytes are attended to")
    func losesNoByteInAnyOrder() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let high = Int.random(in: 1...400_000, using: &random)
            let low = Int.random(in: 0..<high, using: &random)
            var machine = try machine(
                high: high, low: low, capacity: 4 << (10 + 2 * Int.random(in: 0...3, using: &random)))
            var now: UInt64 = 0
            var room = 0
            var consumed = 0
            var ticks = false
            var watched = false
            var gathered = false
            var sent = 0
            for step in 0..<200 {
                now += UInt64.random(in: 0...3_000_000, using: &random)
                var events: [PumpEvent] = []
                // The consumer.
                let read = Bool.random(using: &random) ? Int.random(in: 0...100_000, using: &random) : 0
                room += read
                switch Int.random(in: 0..<4, using: &random) {
                case 0 where gathered:
                    gathered = false
                    if machine.takesOver() {
                        events += write(&machine, everything: false, room: &room, at: now)
                    }
                case 1 where ticks:
                    let look = machine.tickBegins(at: now)
                    if look.isDue, !machine.isGateClosed || machine.isDraining {
                        events += write(&machine, room: &room, at: now)
                    }
                    let tick = machine.tickEnds(hasArrived: look.hasArrived, &events, at: now)
                    if case .after = tick.next { ticks = true } else { ticks = false }
                    watched = tick.wantsRoom
                case 2 where watched && room > 0:
                    events += write(&machine, room: &room, at: now)
                    watched = machine.needsWatch
                default:
                    if machine.isGateClosed {
                        // The session's thread waits for room.
                        if room > 0 { events += write(&machine, room: &room, at: now) }
                        break
                    }
                    let bytes = Int.random(in: 1...60_000, using: &random)
                    sent += bytes
                    switch machine.arrives(bytes, at: now) {
                    case .keep(.now(let everything)):
                        events += write(&machine, everything: everything, room: &room, at: now)
                        if machine.startsTicking() { events.append(.startTicking) }
                    case .keep(.later(let handsOver, let startsTicking)):
                        gathered = gathered || handsOver
                        if startsTicking { events.append(.startTicking) }
                    case let other: Issue.record("\(other), seed \(seed)")
                    }
                }
                if events.contains(.startTicking) || events.contains(.flowing) { ticks = true }
                consumed = machine.delivered
                let isAttendedTo = machine.buffered == 0 || machine.isGateClosed || ticks || watched
                guard machine.received == sent, sent - consumed == machine.buffered,
                    machine.buffered < high + 60_000,
                    isAttendedTo
                else {
                    Issue.record("seed \(seed), step \(step): \(machine)")
                    return
                }
            }
        }
    }
}
