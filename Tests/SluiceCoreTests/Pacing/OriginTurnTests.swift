import SluiceCore
import Testing

@Suite("An origin's turn")
struct OriginTurnTests {
    private let second: UInt64 = 1_000_000_000

    @Test("is the time of this attempt in which neither the gate nor the rate limit kept the origin waiting")
    func countsOnlyTimeToSend() {
        var turn = OriginTurn(closedBefore: 7 * second, at: 100 * second)
        #expect(turn.openTime(at: 101 * second) == second && !turn.isHeldBack)
        turn.gateCloses(at: 102 * second)
        // The same event again changes nothing.
        turn.gateCloses(at: 103 * second)
        #expect(turn.openTime(at: 105 * second) == 2 * second && turn.isHeldBack)
        #expect(turn.silence(at: 105 * second) == nil)
        var opened = turn.gateOpens(at: 105 * second)
        #expect(opened && turn.closedTime == 10 * second)
        opened = turn.gateOpens(at: 106 * second)
        #expect(!opened)
        #expect(turn.silence(at: 106 * second) == second && turn.openTime(at: 106 * second) == 3 * second)
        turn.pauses(at: 107 * second)
        #expect(turn.isPaused && turn.isHeldBack && turn.silence(at: 109 * second) == nil)
        turn.goesOn(at: 110 * second)
        #expect(turn.openTime(at: 111 * second) == 5 * second && turn.silence(at: 111 * second) == second)
        turn.sent(at: 112 * second)
        #expect(turn.silence(at: 112 * second) == 0 && turn.active == 112 * second)
    }

    @Test("a long wait is recent until the gate has been open for more than 5 s since then")
    func waitIsRecentByOpenTime() {
        var turn = OriginTurn(closedBefore: 0, at: 0)
        #expect(turn.recentWait(at: 100 * second) == nil)
        turn.gateCloses(at: 100 * second)
        _ = turn.gateOpens(at: 104 * second)
        #expect(turn.recentWait(at: 104 * second) == nil)
        turn.gateCloses(at: 110 * second)
        _ = turn.gateOpens(at: 117 * second)
        #expect(turn.recentWait(at: 118 * second) == .seconds(7))
        turn.gateCloses(at: 119 * second)
        _ = turn.gateOpens(at: 123 * second)
        #expect(turn.recentWait(at: 126 * second) == .seconds(7))
        #expect(turn.recentWait(at: 127 * second) == nil)
    }

    @Test("the closed time that another process reports for earlier attempts is bounded, so no sum overflows")
    func boundsReportedClosedTime() {
        var turn = OriginTurn(closedBefore: .max, at: 5)
        turn.gateCloses(at: 5)
        _ = turn.gateOpens(at: .max / 4)
        #expect(turn.openTime(at: .max / 4 + 1) == 1)
    }
}
