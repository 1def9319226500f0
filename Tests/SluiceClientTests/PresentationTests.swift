import SluiceClient
import SluiceInterface
import Testing

@Suite("What people read") struct PresentationTests {
    private func job() -> Job {
        var job = Job(
            id: "k2x", url: "https://h.example/a?token=*", userID: 7, processID: 8, createdUsec: 1_000_000,
            highWatermark: 1 << 20, lowWatermark: 1 << 18)
        job.startedUsec = 2_000_000
        job.state = .streaming
        job.contentLength = 10_000_000
        job.bytesDelivered = 5_000_000
        job.attempts = 1
        return job
    }

    @Test("a table has a line for each job")
    func table() {
        var failed = job()
        failed.id = "longer"
        failed.state = .failed
        failed.finishedUsec = 4_000_000
        failed.outcome = Outcome(.truncated, "the body broke off")
        let text = JobTable.render([job(), failed], nowUsec: 12_000_000)
        #expect(
            text == """
                ID      STATE                BYTES     SIZE      RATE   AGE  URL
                k2x     streaming           5.0 MB  10.0 MB  500 kB/s  11 s  https://h.example/a?token=*
                longer  failed (truncated)  5.0 MB  10.0 MB  2.5 MB/s  11 s  https://h.example/a?token=*

                """)
        let narrow = JobTable.render([job()], nowUsec: 12_000_000, width: 20)
        #expect(narrow.split(separator: "\n").allSatisfy { $0.count <= 20 })
    }

    @Test("nothing that comes from outside acts on the terminal")
    func printable() {
        #expect(Terminal.printable("a\u{1B}[2Jb\n\u{7}\u{9B}ü\u{202E}x") == "a?[2Jb???ü?x")
        var job = job()
        job.state = .failed
        job.outcome = Outcome(.httpStatus, "answered \u{1B}]0;x\u{7}")
        job.url = "http://h/\u{1B}c"
        for text in [
            JobTable.render([job], nowUsec: 0), JobDetails.render(job, nowUsec: 0),
            JobDetails.line(job, nowUsec: 0),
        ] {
            #expect(!text.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
        }
    }

    @Test("a job in full shows every fact")
    func details() {
        var job = job()
        job.httpStatus = 200
        job.gateClosures = 3
        job.stalledUsec = 5_000_000
        job.laneProcessID = 99
        let text = JobDetails.render(job, nowUsec: 12_000_000)
        for part in [
            "Job: k2x", "State: streaming", "HTTP status: 200", "Size: 10.0 MB (10000000 B)",
            "Delivered: 5.0 MB (5000000 B), 50 %", "closed 3 times, 5.0 s in all (50 % of the time)",
            "high 1.0 MB (1048576 B), low 262 kB", "user 7, process 8", "Lane: process 99",
        ] {
            #expect(text.contains(part), "\(part)")
        }
    }

    @Test(
        "spans of time have a unit",
        arguments: [
            (0.0, "0 ms"), (0.0123, "12 ms"), (0.9999, "1.0 s"), (3.24, "3.2 s"), (9.96, "10 s"),
            (99, "99 s"),
            (125, "2 min"), (7300, "2 h"), (300_000, "3 d"), (-1, "?"), (.infinity, "?"),
        ] as [(Double, String)])
    func brief(seconds: Double, text: String) {
        #expect(Elapsed.brief(seconds) == text)
    }

    @Test("JSON is one line with the interface's names")
    func json() throws {
        let text = try JSONText.encode(job())
        #expect(!text.contains("\n"))
        #expect(text.contains(#""bytesDelivered":5000000"#))
        #expect(text.contains(#""url":"https://h.example/a?token=*""#))
        #expect(throws: SluiceError.self) { try JSONText.encode(["x": Double.nan]) }
    }
}
