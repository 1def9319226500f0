import LaneProtocol
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("The watch for lanes that hang")
struct HangWatchTests {
    /// A lane with an order, and its answers to the questions that it is asked.
    private struct Lane {
        var serial = 1
        var pulse = LedgerPulse()
        var isStalled = false
        /// Whether it answers its questions.
        var lives = true

        var found: HangWatch.Lane { HangWatch.Lane(serial: serial, pulse: pulse, isStalled: isStalled) }

        mutating func move() { pulse.counters.received += 1 }
    }

    /// Makes the watch look at one lane once, and carries out its decision.
    private func look(
        _ watch: inout HangWatch, _ lane: inout Lane, isLate: Bool = false
    ) -> HangWatch.Action? {
        let actions = watch.look(at: [lane.found], isLate: isLate)
        #expect(actions.count <= 1)
        if case .ask(let serial, let number)? = actions.first {
            #expect(serial == lane.serial)
            if lane.lives { lane.pulse.answered = UInt64(number) }
        }
        return actions.first
    }

    @Test("does not ask a lane whose ledger changes, whichever value changes")
    func doesNotAskMovingLanes() {
        var watch = HangWatch()
        var lane = Lane(lives: false)
        let moves: [(inout LedgerEntry) -> Void] = [
            { $0.received += 1 }, { $0.filled += 1 }, { $0.buffered += 1 }, { $0.gateClosures += 1 },
            { $0.closedSinceNanoseconds += 1 }, { $0.stalledNanoseconds += 1 }, { $0.isFilling.toggle() },
        ]
        for move in moves + moves {
            #expect(look(&watch, &lane) == nil)
            move(&lane.pulse.counters)
        }
    }

    @Test("asks a lane whose ledger does not change at each look, and lets it wait as long as it answers")
    func asksUnchangedLaneAtEachLook() {
        var watch = HangWatch()
        var lane = Lane()
        #expect(look(&watch, &lane) == nil)
        for number in 1...1000 { #expect(look(&watch, &lane) == .ask(serial: 1, number: number)) }
    }

    @Test("replaces a lane that does not answer, at the third look after its question")
    func replacesLaneWithoutAnswer() {
        var watch = HangWatch()
        var lane = Lane()
        #expect(look(&watch, &lane) == nil)
        #expect(look(&watch, &lane) == .ask(serial: 1, number: 1))
        lane.lives = false
        #expect(look(&watch, &lane) == .ask(serial: 1, number: 2))
        #expect(look(&watch, &lane) == nil)
        #expect(look(&watch, &lane) == nil)
        #expect(look(&watch, &lane) == .replace(serial: 1))
    }

    @Test("accepts an answer at the last moment, or bytes that move instead")
    func acceptsAnswerAtLastMoment() {
        for moves in [false, true] {
            var watch = HangWatch()
            var lane = Lane(lives: false)
            for _ in 0..<4 { _ = look(&watch, &lane) }
            if moves { lane.move() } else { lane.pulse.answered = 1 }
            #expect(look(&watch, &lane) == (moves ? nil : .ask(serial: 1, number: 2)))
        }
    }

    @Test(
        "accepts neither the answer to another question nor a number that it has not asked",
        arguments: [0, 1, 3, .max])
    func acceptsNoOtherAnswer(_ answer: UInt64) {
        var watch = HangWatch()
        var lane = Lane()
        for _ in 0..<2 { _ = look(&watch, &lane) }
        lane.lives = false
        #expect(look(&watch, &lane) == .ask(serial: 1, number: 2))
        lane.pulse.answered = answer
        for _ in 0..<2 { #expect(look(&watch, &lane) == nil) }
        #expect(look(&watch, &lane) == .replace(serial: 1))
    }

    @Test("blames no lane when its own looks are late: the time to answer begins again")
    func lateLooksBlameNoLane() {
        var watch = HangWatch()
        var lane = Lane(lives: false)
        for _ in 0..<2 { _ = look(&watch, &lane) }
        for _ in 0..<50 {
            for _ in 0..<2 { #expect(look(&watch, &lane) == nil) }
            #expect(look(&watch, &lane, isLate: true) == nil)
        }
        for _ in 0..<2 { #expect(look(&watch, &lane) == nil) }
        #expect(look(&watch, &lane) == .replace(serial: 1))
    }

    @Test("is calm while the consumers of all lanes stall and every lane answers in time")
    func isCalmWhileConsumersStall() {
        var watch = HangWatch()
        #expect(watch.isCalm)
        var lane = Lane()
        for _ in 0..<3 {
            _ = look(&watch, &lane)
            #expect(!watch.isCalm)
        }
        lane.isStalled = true
        for _ in 0..<3 {
            #expect(look(&watch, &lane).map { $0 != .replace(serial: 1) } == true)
            #expect(watch.isCalm)
        }
        lane.lives = false
        _ = look(&watch, &lane)
        #expect(watch.isCalm)
        // A look that comes long after its question proves nothing. From then on the watch looks often.
        for _ in 0..<2 {
            #expect(look(&watch, &lane) == nil)
            #expect(!watch.isCalm)
        }
        #expect(look(&watch, &lane) == .replace(serial: 1))
        #expect(watch.look(at: [], isLate: false).isEmpty && watch.isCalm)
    }

    @Test("watches each lane separately, and begins anew with each order")
    func watchesLanesSeparately() {
        var watch = HangWatch()
        var dead = Lane(serial: 7, lives: false)
        var live = Lane(serial: 8)
        func both() -> [HangWatch.Action] {
            let actions = watch.look(at: [dead.found, live.found], isLate: false)
            for case .ask(8, let number) in actions { live.pulse.answered = UInt64(number) }
            return actions
        }
        #expect(both().isEmpty)
        #expect(both() == [.ask(serial: 7, number: 1), .ask(serial: 8, number: 2)])
        #expect(both() == [.ask(serial: 8, number: 3)])
        #expect(both() == [.ask(serial: 8, number: 4)])
        // The order has gone to another lane, so the question to the earlier lane does not count.
        dead.serial = 9
        #expect(both() == [.ask(serial: 8, number: 5)])
        #expect(both() == [.ask(serial: 9, number: 6), .ask(serial: 8, number: 7)])
        _ = both()
        _ = both()
        #expect(both() == [.replace(serial: 9), .ask(serial: 8, number: 10)])
    }

    @Test("replaces no lane that lives and each lane that does not, whatever happens in between")
    func replacesExactlyDeadLanes() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<300 {
            var watch = HangWatch()
            var lane = Lane()
            for _ in 0..<50 {
                if Bool.random(using: &generator) { lane.move() }
                if Int.random(in: 0..<10, using: &generator) == 0 { lane.isStalled.toggle() }
                let isLate = Int.random(in: 0..<5, using: &generator) == 0
                #expect(look(&watch, &lane, isLate: isLate) != .replace(serial: 1))
            }
            lane.lives = false
            let actions = (0..<5).map { _ in look(&watch, &lane) }
            #expect(actions.contains(.replace(serial: 1)), "\(actions)")
        }
    }
}
