import SluiceClient
import SluiceInterface
import Testing

@Suite("top's model") struct TopModelTests {
    private func ids(_ model: TopModel) -> [String] { model.rows.map(\.job.id) }

    @Test("rates are computed from two samples, and there are none before the second")
    func ratesNeedTwoSamples() {
        var model = TopModel()
        model.take(TopFixtures.sample([TopFixtures.job("a", bytes: 500)], at: 10, delivered: 9000))
        #expect(model.rows[0].rate == nil && model.rate == nil)
        model.take(
            TopFixtures.sample(
                [
                    TopFixtures.job("a", bytes: 700), TopFixtures.job("young", bytes: 40, age: -11),
                    TopFixtures.job("stranger", bytes: 40),
                ], at: 12, delivered: 9400))
        #expect(model.rate == 200)
        #expect(model.rows.first { $0.job.id == "a" }?.rate == 100)
        // A job that began between the two samples began at 0 bytes. For an older one that was not in the first
        // sample, no rate is known.
        #expect(model.rows.first { $0.job.id == "young" }?.rate == 20)
        #expect(model.rows.contains { $0.job.id == "stranger" && $0.rate == nil })
    }

    @Test("a restarted service counts from the beginning, and has no rate until the next sample")
    func restartClearsTheRate() {
        var model = TopModel()
        model.take(TopFixtures.sample([], at: 0, delivered: 9000, process: 1))
        model.take(TopFixtures.sample([], at: 1, delivered: 10_000, process: 2))
        #expect(model.rate == nil)
        model.take(TopFixtures.sample([], at: 2, delivered: 10_500, process: 2))
        #expect(model.rate == 500)
    }

    @Test("impossible numbers do not stop the model")
    func survivesImpossibleNumbers() {
        var model = TopModel()
        for at in [0.0, 1, 1, 0.5] {
            model.take(
                TopFixtures.sample(
                    [
                        TopFixtures.job(
                            "a", bytes: at == 0 ? .min : .max, size: -1, buffered: .max, stalled: .min),
                        TopFixtures.job("a", bytes: .min, size: .max, age: -1_000_000),
                    ], at: at, delivered: at == 0 ? .max : .min))
            #expect(model.rows.count == 2)
        }
        _ = TopLayout.screen(&model, width: 80, height: 24, isUnicode: true, at: 2)
    }

    @Test(
        "sorts by the column of the pressed key, and in reverse order",
        arguments: [
            ("r", ["fast", "slow", "old", "stuck"]), ("b", ["old", "fast", "slow", "stuck"]),
            ("a", ["old", "stuck", "slow", "fast"]), ("t", ["stuck", "slow", "fast", "old"]),
            ("s", ["stuck", "fast", "slow", "old"]),
        ])
    func sortsByPressedKey(letter: String, order: [String]) {
        let key = Character(letter)
        func jobs(_ moved: Int) -> [Job] {
            [
                TopFixtures.job("fast", bytes: 5000 + moved * 100, age: 1),
                TopFixtures.job("slow", bytes: 100 + moved, stalled: 10, age: 2),
                TopFixtures.job("stuck", .stalled, stalled: 1000, age: 3),
                TopFixtures.job("old", .queued, bytes: 1_000_000, age: 99),
            ]
        }
        var model = TopModel()
        model.take(TopFixtures.sample(jobs(0), at: 0))
        model.take(TopFixtures.sample(jobs(1), at: 100))
        #expect(model.press(.character(key)) == .draw)
        #expect(TopSort.allCases.contains { $0 == model.sort && $0.key == key })
        #expect(ids(model) == order)
        _ = model.press(.character("o"))
        #expect(ids(model).last == order.first && model.isReversed)
    }

    @Test("ignores samples while it is paused, and continues afterwards")
    func ignoresSamplesWhilePaused() {
        var model = TopModel()
        model.take(TopFixtures.sample([TopFixtures.job("a")], at: 0))
        #expect(model.press(.character(" ")) == .draw && model.isPaused)
        model.take(TopFixtures.sample([TopFixtures.job("b")], at: 1))
        #expect(ids(model) == ["a"])
        #expect(model.warning(at: 100) == nil)
        _ = model.press(.character("p"))
        model.take(TopFixtures.sample([TopFixtures.job("b")], at: 2))
        #expect(ids(model) == ["b"] && !model.isPaused)
    }

    @Test("a service that is gone, or does not answer, is reported until it answers")
    func reportsLostService() {
        var model = TopModel(at: 4)
        #expect(model.warning(at: 7) == nil)
        #expect(model.warning(at: 8) == "the service has not answered for 4 s")
        model.lose("gone\u{1B}[2J", at: 5)
        model.lose("still gone", at: 7)
        #expect(model.warning(at: 9) == "still gone; looking for it (4 s)")
        model.take(TopFixtures.sample([], at: 10))
        #expect(model.warning(at: 12) == nil)
        #expect(model.warning(at: 20) == "the service has not answered for 10 s")
    }

    @Test("scrolls through more jobs than fit, and never beyond them")
    func scrollsWithinTheJobs() {
        var model = TopModel(sort: .bytes)
        model.take(TopFixtures.sample((0..<50).map { TopFixtures.job("j\($0)", bytes: 100 - $0) }))
        model.visibleRows = 10
        _ = model.press(.up)
        #expect(model.offset == 0)
        _ = model.press(.down)
        _ = model.press(.pageDown)
        #expect(model.offset == 11)
        _ = model.press(.end)
        #expect(model.offset == 40)
        _ = model.press(.pageDown)
        #expect(model.offset == 40)
        model.take(TopFixtures.sample([TopFixtures.job("last")], at: 1))
        #expect(model.offset == 0)
        _ = model.press(.home)
        #expect(model.offset == 0)
    }

    @Test("quits, shows help, and changes the delay within its limits")
    func handlesQuitHelpAndDelay() {
        var model = TopModel(delay: 1)
        #expect(model.press(.character("+")) == .setDelay(2))
        for _ in 0..<20 { _ = model.press(.character("-")) }
        #expect(model.delay == TopModel.delays.lowerBound)
        for _ in 0..<40 { _ = model.press(.character("+")) }
        #expect(model.delay == TopModel.delays.upperBound)
        #expect(model.press(.redraw) == .redraw)
        _ = model.press(.character("h"))
        #expect(model.showsHelp)
        #expect(model.press(.character("s")) == .redraw && !model.showsHelp && model.sort == .rate)
        _ = model.press(.character("?"))
        #expect(model.press(.character("q")) == .quit)
        #expect(model.press(.character("q")) == .quit)
        #expect(model.press(.character("z")) == .draw)
    }
}
