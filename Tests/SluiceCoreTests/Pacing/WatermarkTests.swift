import SluiceCore
import Testing

@Suite("Watermarks")
struct WatermarkTests {
    private func gate(_ high: Int, _ low: Int) throws -> WatermarkGate {
        WatermarkGate(marks: try Watermarks(high: high, low: low))
    }

    @Test("the gate closes at the high mark, opens at the low one, and is unchanged in between")
    func closesAtHighOpensAtLow() throws {
        var gate = try gate(100, 40)
        #expect(gate.arrived(99) == .none)
        #expect(gate.arrived(1) == .close)
        #expect(gate.isClosed)
        #expect(gate.arrived(50) == .none, "what was on its way still arrives")
        #expect(gate.drained(109) == .none)
        #expect(gate.buffered == 41)
        #expect(gate.drained(1) == .open)
        #expect(gate.arrived(59) == .none)
        #expect(gate.arrived(1) == .close)
        #expect(gate.closures == 2)
    }

    @Test("with a low mark of 0 the gate opens when all is drained")
    func lowMarkZeroOpensWhenDrained() throws {
        var gate = try gate(1, 0)
        #expect(gate.arrived(1) == .close)
        #expect(gate.drained(0) == .none)
        #expect(gate.drained(1) == .open)
    }

    @Test("bytes that arrive and leave below the high mark do not close the gate")
    func staysOpenBelowHighMark() throws {
        var gate = try gate(10, 9)
        for _ in 0..<100 {
            #expect(gate.arrived(9) == .none)
            #expect(gate.drained(9) == .none)
        }
        #expect(gate.closures == 0)
    }

    @Test("whatever arrives and leaves, the gate's state follows from the marks alone")
    func stateFollowsFromMarks() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let high = Int.random(in: 1...1000, using: &generator)
            let low = Int.random(in: 0..<high, using: &generator)
            var gate = try gate(high, low)
            var buffered = 0
            var isClosed = false
            for _ in 0..<200 {
                if !isClosed, Bool.random() {
                    let bytes = Int.random(in: 0...500)
                    buffered += bytes
                    #expect(gate.arrived(bytes) == (buffered >= high ? .close : .none))
                    isClosed = buffered >= high
                } else {
                    let bytes = Int.random(in: 0...buffered)
                    buffered -= bytes
                    let opens = isClosed && buffered <= low
                    #expect(gate.drained(bytes) == (opens ? .open : .none))
                    if opens { isClosed = false }
                }
                #expect(gate.buffered == buffered && gate.isClosed == isClosed)
            }
        }
    }

    @Test("marks out of order are refused, and the error names the wrong one")
    func refusesMarksOutOfOrder() throws {
        for (high, low, limit, parameter) in [
            (0, 0, 100, "highWatermark"), (-5, 0, 100, "highWatermark"), (101, 0, 100, "highWatermark"),
            (100, 100, 100, "lowWatermark"), (100, -1, 100, "lowWatermark"), (100, 200, 100, "lowWatermark"),
        ] {
            let error = #expect(throws: RequestError.self) {
                try Watermarks(high: high, low: low, limit: limit)
            }
            #expect(error?.parameter == parameter)
        }
        #expect(try Watermarks(high: 100, low: 99, limit: 100).high == 100)
    }
}
