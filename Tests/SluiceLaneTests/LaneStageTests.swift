import Testing

@testable import SluiceLane

@Suite("How a lane's job ends")
struct LaneStageTests {
    private typealias Stage = LaneStage<String, Int>

    private func isOver(_ stage: Stage) -> Bool { if case .over = stage { true } else { false } }

    @Test(
        "a whole body: URLSession finishes, the rest is delivered, and the job is over when the account closes"
    )
    func completesWithWholeBody() {
        var stage = Stage.transferring
        let finishes = stage.sessionFinishes(with: 7)
        #expect(finishes && stage.result == 7 && stage.sessionIsDone && !stage.accountIsClosed)
        let notNeeded = stage.keep("a timer")
        #expect(notNeeded == "a timer")
        let closes = stage.accountCloses()
        #expect(closes && isOver(stage))
    }

    @Test("an account that is closed first: only the last timer is kept, until URLSession has finished")
    func keepsLastTimerUntilSessionFinishes() {
        var stage = Stage.transferring
        let closes = stage.accountCloses()
        #expect(closes && stage.accountIsClosed && !stage.sessionIsDone)
        let none = stage.keep("dropping")
        let last = stage.keep("sweeping")
        #expect(none == nil && last == "dropping")
        let finishes = stage.sessionFinishes(with: 7)
        #expect(!finishes && stage.result == nil)
        let timer = stage.sessionReleases()
        #expect(timer == "sweeping" && isOver(stage))
    }

    @Test("closing the account twice or finishing after the end has no effect")
    func repeatedStepsHaveNoEffect() {
        var stage = Stage.transferring
        var closes = stage.accountCloses()
        closes = stage.accountCloses()
        #expect(!closes)
        _ = stage.sessionReleases()
        closes = stage.accountCloses()
        let finishes = stage.sessionFinishes(with: 7)
        let timer = stage.sessionReleases()
        #expect(!closes && !finishes && timer == nil && isOver(stage))
    }
}
