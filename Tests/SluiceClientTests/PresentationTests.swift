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
    func tableHasLinePerJob() {
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

    @Test("control characters from outside never reach the terminal")
    func replacesControlCharacters() {
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

    @Test("the details of a job show every fact")
    func detailsShowEveryFact() {
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

    @Test("the coding of a body is shown")
    func showsCodingOfBody() {
        var job = job()
        #expect(!JobDetails.render(job, nowUsec: 12_000_000).contains("Encoding"))
        job.contentEncoding = "gzip"
        #expect(
            JobDetails.render(job, nowUsec: 12_000_000).contains("Encoding: gzip, as the server sent it\n"))
        #expect(
            JobDetails.line(job, nowUsec: 12_000_000)
                == "k2x  streaming  5.0 MB of 10.0 MB, 50 %  gzip  500 kB/s")
        job.contentEncoding = "a\u{1B}[2Jb\n"
        for text in [JobDetails.render(job, nowUsec: 0), JobDetails.line(job, nowUsec: 0)] {
            #expect(text.contains("a?[2Jb?"))
        }
    }

    /// A job after one attempt that failed and one that was parked, before the third.
    private func retrying() -> Job {
        var job = job()
        job.state = .waiting
        job.attempts = 3
        var second = Attempt(number: 2, position: 0, startedUsec: 3_000_000)
        second.endedUsec = 23_000_000
        second.httpStatus = 200
        var third = Attempt(number: 3, position: 5_000_000, startedUsec: 30_000_000)
        third.endedUsec = 30_250_000
        third.httpStatus = 503
        third.code = .httpStatus
        third.message = "answered 503\u{1B}"
        job.attemptLog = [second, third]
        job.retryUsec = 34_000_000
        job.etag = "\"v1\""
        job.digest = "sha256:00"
        return job
    }

    @Test("the details of a job show each attempt that is known, and when the next one begins")
    func detailsShowAttempts() {
        let text = JobDetails.render(retrying(), nowUsec: 31_500_000)
        for part in [
            "Attempts: 3 (the first 1 are not listed)\n", "Attempt 2: 1970-01-01 ",
            ", from byte 0, HTTP 200, parked after 20 s\n",
            ", from byte 5000000, HTTP 503, httpStatus after 250 ms: answered 503?\n",
            "Next attempt: in 3 s (1970-01-01 ", "Entity-tag: \"v1\"\n", "Digest: sha256:00\n",
        ] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        var running = job()
        running.attemptLog = [Attempt(number: 1, position: 0, startedUsec: 3_000_000)]
        let other = JobDetails.render(running, nowUsec: 31_500_000)
        #expect(other.contains("Attempts: 1\n") && other.contains(", from byte 0, under way\n"))
        #expect(!other.contains("Next attempt"))
    }

    @Test("the line and the table show what a job waits for")
    func showsWhatJobWaitsFor() {
        let line = JobDetails.line(retrying(), nowUsec: 31_500_000)
        #expect(line.hasSuffix("  waits 3 s for attempt 4: answered 503?"))
        #expect(JobTable.render([retrying()], nowUsec: 31_500_000).contains("k2x  waiting (3 s)  5.0 MB"))
        var parked = job()
        parked.state = .parked
        #expect(JobDetails.line(parked, nowUsec: 12_000_000).hasSuffix("  until the consumer reads"))
        #expect(JobTable.render([parked], nowUsec: 12_000_000).contains("k2x  parked  "))
        parked.state = .complete
        parked.outcome = Outcome(.unchanged, "it is")
        #expect(JobTable.render([parked], nowUsec: 12_000_000).contains("complete (unchanged)"))
    }

    @Test("impossible numbers from a service are shown without a trap")
    func impossibleNumbersDoNotTrap() {
        for number in [Int.min, -1, .max] {
            var job = retrying()
            job.attempts = number
            job.retryUsec = number
            job.attemptLog = [Attempt(number: number, position: number, startedUsec: number)]
            job.attemptLog[0].endedUsec = number
            for text in [JobDetails.render(job, nowUsec: 0), JobDetails.line(job, nowUsec: 0)] {
                #expect(!text.isEmpty)
            }
            #expect(!JobTable.render([job], nowUsec: .max).isEmpty)
        }
    }

    @Test("the status counts every state")
    func statusCountsEveryState() {
        var jobs = Ingest.JobCounts()
        jobs.parked = 11
        jobs.waiting = 12
        jobs.retried = 13
        let status = Ingest.StatusReply(
            version: "1", processID: 2, startedUsec: 0, status: "", jobs: jobs, lanes: .init(),
            bytesDelivered: 0,
            pipeBytes: 0, pipeBudget: 0, connections: 1)
        let text = JobDetails.render(status, socket: "/s", nowUsec: 1)
        for part in ["11 parked", "12 waiting for an attempt", "Retried: 13 attempts"] {
            #expect(text.contains(part), "\(part)")
        }
    }

    @Test("a pause counts down in whole seconds")
    func countsDownInWholeSeconds() {
        let texts = [-1, 0, 0.2, 2.001, 99.5, 125, .nan].map(Elapsed.countdown)
        #expect(texts == ["0 s", "0 s", "1 s", "3 s", "100 s", "2 min", "?"])
    }

    @Test(
        "durations have a unit",
        arguments: [
            (0.0, "0 ms"), (0.0123, "12 ms"), (0.9999, "1.0 s"), (3.24, "3.2 s"), (9.96, "10 s"),
            (99, "99 s"),
            (125, "2 min"), (7300, "2 h"), (300_000, "3 d"), (-1, "?"), (.infinity, "?"),
        ] as [(Double, String)])
    func durationsHaveUnit(seconds: Double, text: String) {
        #expect(Elapsed.brief(seconds) == text)
    }

    @Test("JSON is one line with the interface's names")
    func jsonIsOneLine() throws {
        let text = try JSONText.encode(job())
        #expect(!text.contains("\n"))
        #expect(text.contains(#""bytesDelivered":5000000"#))
        #expect(text.contains(#""url":"https://h.example/a?token=*""#))
        #expect(throws: SluiceError.self) { try JSONText.encode(["x": Double.nan]) }
    }
}
