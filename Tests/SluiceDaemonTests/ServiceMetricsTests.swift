import SluiceCore
import SluiceInterface
import Testing

@testable import SluiceDaemon

@Suite("The metrics") struct ServiceMetricsTests {
    @Test("numbers are counted for each of a hundred active names, and for all other names together")
    func talliesHundredNames() {
        var tally = NameTally()
        let start = ContinuousClock.now
        var one = NameTally.Numbers()
        one.complete = 1
        one.delivered = 10
        for number in 0..<150 { tally.add(one, to: "host-\(number)", at: start) }
        #expect(tally.rows.count == 101 && tally.rows.last?.name == "other")
        #expect(tally.rows.last?.numbers.complete == 50)
        #expect(tally.knows("host-99") && !tally.knows("host-100"))
        // Nobody can take the name of the others.
        tally.add(one, to: "other", at: start)
        #expect(tally.rows.last?.numbers.complete == 51)
        // One that is silent for long makes room, and its numbers are kept.
        for number in 1..<100 {
            tally.add(one, to: "host-\(number)", at: start + NameTally.idleTime)
        }
        tally.add(one, to: "new", at: start + NameTally.idleTime + .seconds(1))
        #expect(tally.knows("new") && !tally.knows("host-0"))
        #expect(tally.rows.last?.numbers.complete == 52)
        #expect(tally.rows.reduce(0) { $0 + $1.numbers.delivered } == 2510)
    }

    @Test("totals since the start never fall, and exclude what came before the start")
    func totalsNeverFall() {
        let metrics = ServiceMetrics()
        func numbers(_ received: Int, _ delivered: Int) -> JobAccount.Numbers {
            JobAccount.Numbers(received: received, delivered: delivered)
        }
        metrics.restored(with: numbers(100, 100))
        #expect(metrics.totals(active: numbers(100, 100)).delivered == 0)
        #expect(metrics.totals(active: numbers(150, 120)).received == 50)
        metrics.threwAway(30)
        #expect(metrics.totals(active: numbers(120, 120)).received == 50)
        metrics.ended(Outcome(.complete, "done"), numbers(200, 200))
        #expect(metrics.totals(active: numbers(0, 0)).received == 130)
        #expect(metrics.totals(active: numbers(0, 0)).delivered == 100)
        // A damaged account takes everything back.
        #expect(metrics.totals(active: numbers(50, 50)).delivered == 150)
        metrics.ended(Outcome(.deliveryUncertain, "damaged"), numbers(0, 0))
        #expect(metrics.totals(active: numbers(0, 0)).delivered == 150)
        metrics.ended(Outcome(.complete, "more than can be"), numbers(.max, .max))
        #expect(metrics.totals(active: numbers(.max, .max)).delivered > 150)
        #expect(metrics.count(of: .complete) == 2 && metrics.count(of: .deliveryUncertain) == 1)
        #expect(metrics.restored == 1)
    }
}
