import SluiceClient
import SluiceInterface
import Testing

@Suite("top's layout") struct TopLayoutTests {
    private func model() -> TopModel {
        var model = TopModel()
        func jobs(_ moved: Int) -> [Job] {
            [
                TopFixtures.job(
                    "m3q7h8kfz2wd", bytes: 400 + moved * 2_000_000, size: 4_000_800, buffered: 524_288,
                    stalled: 1_500_000,
                    url: "http://example.org/measurements.csv.gz?key=…"),
                TopFixtures.job(
                    "b4wt4m0n662q", .stalled, bytes: 131_072, size: nil, buffered: 1_048_576,
                    stalled: 95_000_000),
            ]
        }
        model.take(TopFixtures.sample(jobs(0), at: 0, delivered: 0))
        model.take(TopFixtures.sample(jobs(1), at: 2, delivered: 2_000_000))
        return model
    }

    private func texts(_ model: TopModel, _ width: Int, _ height: Int = 10, isUnicode: Bool = false)
        -> [String]
    {
        var model = model
        return TopLayout.screen(&model, width: width, height: height, isUnicode: isUnicode, at: 2).map(\.text)
    }

    @Test("40 columns show the most important values")
    func fitsFortyColumns() {
        #expect(
            texts(model(), 40) == [
                "sluiced 1.2.3  up 2 h  3 streaming",
                "1.0 MB/s  2.0 MB delivered",
                "ended: 0 complete, 2 failed  0 retries",
                "ID           STATE           RATE   %",
                "m3q7h8kfz2wd streaming   1.0 MB/s  50",
                "b4wt4m0n662q stalled        0 B/s   -",
                "", "", "", "by rate  q quit  h help  p pause",
            ])
    }

    @Test("80 columns add progress, buffered bytes beside the high watermark, and the stalled time")
    func fitsEightyColumns() {
        #expect(
            texts(model(), 80) == [
                "sluiced 1.2.3  up 2 h  3 streaming  1 stalled",
                "1.0 MB/s  2.0 MB delivered  lanes 4 of 96 busy, 0 died  pipes 1 B of 2 B",
                "ended: 0 complete, 2 failed, 0 cancelled  0 retries",
                "ID           STATE           RATE   % PROGRESS       BUFFERED/HIGH STALLED",
                "m3q7h8kfz2wd streaming   1.0 MB/s  50 [====>     ]   524 kB/1.0 MB   1.5 s",
                "b4wt4m0n662q stalled        0 B/s   -                1.0 MB/1.0 MB    95 s",
                "", "", "", "by rate  every 1.0 s  q quit  h help  p pause  sort: s r b a t",
            ])
    }

    @Test("200 columns show everything, with a stroke for the low watermark")
    func showsEverythingInTwoHundredColumns() {
        let lines = texts(model(), 200, isUnicode: true)
        #expect(
            lines[3]
                == "ID             USER STATE      TRIES      RATE   % PROGRESS       BYTES    SIZE   BUFFERED/HIGH WATERMARKS STALLED    AGE URL"
        )
        #expect(
            lines[4]
                == "m3q7h8kfz2wd      7 streaming      0  1.0 MB/s  50 [█████     ]  2.0 MB  4.0 MB   524 kB/1.0 MB [██│█    ]   1.5 s   62 s http://example.org/measurements.csv.gz?key=…"
        )
        #expect(lines[5].contains("[██│█████]    95 s   62 s http://h/x"))
        #expect(lines[9].hasSuffix("sort: s state, r rate, b bytes, a age, t stalled"))
    }

    private static let hostile = [
        "http://h/\u{1B}[2J\u{1B}]0;x\u{07}", "http://h/\r\n\t\0\u{7F}\u{9B}31m", "http://h/\u{202E}gnp.exe",
        "http://h/漢字🙂👩‍👩‍👧‍👦e\u{301}\u{200B}", String(repeating: "x", count: 10_000), "", "…",
    ]

    @Test(
        "no line is longer than the terminal or contains a control character, whatever the URL",
        arguments: hostile)
    func neutralisesHostileURLs(url: String) {
        var job = TopFixtures.job(
            url, .waiting, bytes: .max, size: .max, buffered: .max, stalled: .max, url: url)
        job.attempts = .max
        job.userID = .min
        for isUnicode in [false, true] {
            for width in Array(1...130) + [200, 500] {
                for height in [1, 2, 3, 7, 8, 24] {
                    var model = TopModel()
                    model.take(TopFixtures.sample([job], at: 0, delivered: .max))
                    model.take(TopFixtures.sample([job, job], at: 1, delivered: .min))
                    model.lose(url, at: 1)
                    let lines = TopLayout.screen(
                        &model, width: width, height: height, isUnicode: isUnicode, at: 2)
                    #expect(lines.count <= height)
                    for line in lines {
                        #expect(line.text.count <= width)
                        #expect(line.text.unicodeScalars.count == line.text.count)
                        let allowed: Set<Unicode.Scalar> = ["…", "│", "█", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
                        #expect(
                            line.text.unicodeScalars.allSatisfy {
                                (0x20...0x7E).contains($0.value) || (isUnicode && allowed.contains($0))
                            })
                    }
                }
            }
        }
        #expect(
            TopLayout.plain(model()).unicodeScalars.allSatisfy {
                (0x20...0x7E).contains($0.value) || $0 == "\n"
            })
    }

    @Test("rows that do not fit can be reached, and the last line shows which rows are visible")
    func scrollsToHiddenRows() {
        var model = TopModel(sort: .bytes)
        model.take(TopFixtures.sample((0..<50).map { TopFixtures.job("j\($0)", bytes: 1000 - $0) }))
        var lines = TopLayout.screen(&model, width: 80, height: 10, isUnicode: false, at: 0)
        #expect(lines.count == 10 && lines[4].text.hasPrefix("j0 ") && lines[8].text.hasPrefix("j4 "))
        #expect(lines[9].text.contains("jobs 1-5 of 50"))
        _ = model.press(.pageDown)
        lines = TopLayout.screen(&model, width: 80, height: 10, isUnicode: false, at: 0)
        #expect(lines[4].text.hasPrefix("j5 ") && lines[9].text.contains("jobs 6-10 of 50"))
    }

    @Test("help names every key, and a pause and a lost service are shown")
    func showsHelpPauseAndLoss() {
        var model = model()
        _ = model.press(.character("h"))
        let help = texts(model, 80, 24).joined(separator: "\n")
        for key in TopSort.allCases { #expect(help.contains("  \(key.key) ")) }
        #expect(help.contains("sort by rate (now)") && help.contains("q, Ctrl-C"))
        _ = model.press(.character("h"))
        _ = model.press(.character("p"))
        model.lose("the service has gone away", at: 2)
        let lines = texts(model, 80)
        #expect(lines[3] == "the service has gone away; looking for it (0 s)")
        #expect(lines[9].hasPrefix("PAUSED  by rate"))
    }

    @Test("plain text for a log has every column and every job uncut, or fits a given width")
    func plainTextCutsNothing() {
        let text = TopLayout.plain(model())
        #expect(text.hasSuffix("http://h/x\n") && text.contains("measurements.csv.gz?key=."))
        #expect(text.split(separator: "\n").count == 6)
        #expect(TopLayout.plain(model(), width: 40).split(separator: "\n").allSatisfy { $0.count <= 40 })
        #expect(TopLayout.plain(TopModel()).hasPrefix("asking the service\n"))
    }

    @Test("a message is shown before the first answer, and when there are no jobs")
    func showsMessageWithoutJobs() {
        var model = TopModel()
        #expect(texts(model, 80).first == "asking the service")
        model.take(TopFixtures.sample([]))
        #expect(texts(model, 80)[4] == "no jobs of yours")
    }
}
