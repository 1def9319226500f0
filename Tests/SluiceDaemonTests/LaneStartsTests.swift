import Testing

@testable import SluiceDaemon

@Suite("Whether lanes can be started") struct LaneStartsTests {
    private typealias Census = LaneStarts.Census

    @Test("the service has come up when the minimum of lanes is warm, and this is reported once")
    func comesUpWhenMinimumIsWarm() {
        var starts = LaneStarts()
        let first = starts.succeeds(Census(starting: 1, warm: 1), minimum: 2)
        #expect(first == nil && !starts.hasComeUp)
        let second = starts.succeeds(Census(starting: 0, warm: 2), minimum: 2)
        let third = starts.succeeds(Census(starting: 0, warm: 3), minimum: 2)
        #expect(second == .warm && third == nil && starts.hasComeUp)
    }

    @Test("the service comes up with fewer lanes than the minimum if one is warm and another fails")
    func comesUpWithFewerLanes() {
        var starts = LaneStarts()
        _ = starts.succeeds(Census(starting: 1, warm: 1), minimum: 2)
        let (news, pause) = starts.fails("no memory", isShortage: true, Census(starting: 0, warm: 1))
        #expect(news == [.warm] && pause == LaneStarts.firstPause && starts.trouble == "no memory")
    }

    @Test("three failures in a row without any lane at the start of the service make its start fail")
    func reportsFailedServiceStart() {
        var starts = LaneStarts()
        var told: [LaneStarts.News] = []
        for _ in 1...LaneStarts.failuresToGiveUp {
            told += starts.fails("not executable", isShortage: false, Census(starting: 0, warm: 0)).news
            starts.pauseEnds()
        }
        #expect(told == [.neverWarm("no lane can be started: not executable")])
    }

    @Test(
        "once the service is up, failures are a breakdown: starts are repeated with longer pauses until a lane is ready"
    )
    func retriesAfterBreakdown() {
        var starts = LaneStarts()
        _ = starts.succeeds(Census(starting: 0, warm: 1), minimum: 1)
        var told: [LaneStarts.News] = []
        var pauses: [Duration] = []
        for _ in 1...9 {
            let (news, pause) = starts.fails("gone", isShortage: false, Census(starting: 0, warm: 1))
            told += news
            if let pause { pauses.append(pause) }
            #expect(starts.isPausing)
            starts.pauseEnds()
        }
        let sentence = "no lane can be started: gone"
        #expect(told.first == .unavailable(sentence, isNew: true) && told.count == 7)
        #expect(told.dropFirst().allSatisfy { $0 == .unavailable(sentence, isNew: false) })
        #expect(pauses.map { $0 / .milliseconds(1) } == [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
        #expect(starts.mustTry(Census(starting: 0, warm: 1)) && !starts.mustTry(Census(starting: 1, warm: 1)))
        let news = starts.succeeds(Census(starting: 0, warm: 2), minimum: 1)
        #expect(news == nil && starts.breakdown == nil && starts.trouble == nil && starts.failures == 9)
    }

    @Test(
        "a shortage is no breakdown as long as there is a lane, and lanes that start together fail together")
    func shortageWithLaneIsNoBreakdown() {
        var starts = LaneStarts()
        _ = starts.succeeds(Census(starting: 0, warm: 1), minimum: 1)
        for _ in 1...5 { _ = starts.fails("no descriptors", isShortage: true, Census(starting: 0, warm: 1)) }
        #expect(starts.breakdown == nil)
        _ = starts.fails("no descriptors", isShortage: true, Census(starting: 1, warm: 0))
        #expect(starts.breakdown == nil, "one more may become ready")
        let (news, pause) = starts.fails("no descriptors", isShortage: true, Census(starting: 0, warm: 0))
        #expect(news.count == 1 && starts.breakdown != nil && pause == nil, "there is a pause already")
    }
}
