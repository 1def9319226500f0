import SluiceClient
import SluiceInterface
import Testing

@Suite("The progress line") struct ProgressMeterTests {
    private let wide = Terminal(width: 121, isUnicode: false)

    private func job(_ state: JobState, _ bytes: Int, of size: Int? = nil, stalled: Double = 0) -> Job {
        var job = Job(
            id: "j", url: "http://h/", userID: 0, processID: 0, createdUsec: 0, highWatermark: 2,
            lowWatermark: 1)
        job.state = state
        job.bytesDelivered = bytes
        job.contentLength = size
        job.stalledUsec = Int(stalled * 1e6)
        return job
    }

    @Test("shows what the client waits for before the first byte")
    func showsWhatIsAwaited() {
        var meter = ProgressMeter(at: 10)
        #expect(meter.line(at: 11, on: wide) == "asking the service  0:01")
        meter.update(job(.queued, 0), at: 11)
        #expect(meter.line(at: 12, on: wide) == "queued: waits for a lane  0:02")
        meter.update(job(.connecting, 0), at: 12)
        #expect(meter.line(at: 75, on: wide) == "connecting  1:05")
    }

    @Test("counts down to the next attempt, and shows the reason")
    func countsDownToNextAttempt() {
        var waiting = job(.waiting, 5_000_000, of: 10_000_000)
        waiting.attempts = 1
        waiting.attemptLog = [Attempt(number: 1, position: 0, startedUsec: 0)]
        waiting.attemptLog[0].message = "the connection was reset"
        waiting.retryUsec = 103_000_000
        var meter = ProgressMeter(at: 0)
        meter.update(waiting, at: 10, nowUsec: 100_000_000)
        #expect(meter.line(at: 10, on: wide) == "waits 3 s for attempt 2: the connection was reset  0:10")
        #expect(meter.line(at: 11.5, on: wide).hasPrefix("waits 2 s for attempt 2"))
        #expect(meter.line(at: 20, on: wide).hasPrefix("waits 0 s for attempt 2"))
        meter.update(job(.connecting, 5_000_000), at: 20)
        #expect(meter.line(at: 20, on: wide) == "connecting, to go on after 5.0 MB  0:20")
    }

    @Test("shows that a body is parked, and that the service has gone away")
    func showsParkingAndLostService() {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.parked, 25, of: 100, stalled: 1), at: 2)
        #expect(
            meter.line(at: 2, on: wide).hasSuffix("parked until it is read: gate closed 50 % of the time"))
        meter.loseService()
        #expect(meter.line(at: 3, on: wide) == "the service has gone away: waiting for it  0:03")
        meter.update(job(.streaming, 25, of: 100), at: 4)
        #expect(meter.line(at: 4, on: wide).hasPrefix(" 25 % ["))
    }

    @Test("shows percentage, bar, bytes, rate, ETA and elapsed time")
    func showsAllPartsOfKnownSize() {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.streaming, 0, of: 100_000_000), at: 0)
        meter.update(job(.streaming, 25_000_000, of: 100_000_000), at: 2)
        #expect(
            meter.line(at: 2, on: wide)
                == " 25 % [========>                             ]  "
                + "25.0 MB of 100 MB  12.5 MB/s  ETA 0:06  0:02 elapsed")
        meter.update(job(.streaming, 100_000_000, of: 100_000_000), at: 4)
        #expect(meter.line(at: 4, on: wide).hasPrefix("100 % [======================================]"))
    }

    @Test("shows the content coding of a body if there is room, and in the summary")
    func showsContentCoding() {
        var coded = job(.streaming, 3_000_000)
        coded.contentEncoding = "gzip"
        var meter = ProgressMeter(at: 0)
        meter.update(coded, at: 0)
        #expect(meter.line(at: 1, on: wide) == "3.0 MB  gzip  0 B/s  0:01 elapsed")
        #expect(meter.line(at: 1, on: Terminal(width: 24, isUnicode: false)) == "3.0 MB  0 B/s")
        #expect(meter.summary(of: coded, at: 1) == "3.0 MB in 1.0 s (3.0 MB/s); coded as gzip")
        coded.contentEncoding = "\u{1B}]0;" + String(repeating: "x", count: 1000)
        meter.update(coded, at: 1)
        #expect(meter.line(at: 1, on: wide) == "3.0 MB  ?]0;xxxxxxxxxxxx  0 B/s  0:01 elapsed")
    }

    @Test("draws eighths of a character on a Unicode terminal")
    func drawsEighthsOfCharacters() {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.streaming, 51, of: 100), at: 0)
        let line = meter.line(at: 0.1, on: Terminal(width: 121, isUnicode: true))
        #expect(line.hasPrefix(" 51 % [███████████████████▍                  ]"))
    }

    @Test("has no percentage, bar or ETA if the size is unknown")
    func omitsPercentageOfUnknownSize() {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.streaming, 0), at: 0)
        meter.update(job(.streaming, 3_000_000), at: 1)
        #expect(meter.line(at: 1, on: wide) == "3.0 MB  3.0 MB/s  0:01 elapsed")
    }

    @Test("shows that the consumer is slow, and for which share of the time")
    func reportsSlowConsumer() {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.streaming, 10, of: 100), at: 0)
        meter.update(job(.streaming, 20, of: 100, stalled: 0.3), at: 10)
        #expect(!meter.isConsumerSlow(at: 10))
        meter.update(job(.streaming, 30, of: 100, stalled: 4.3), at: 10)
        #expect(meter.line(at: 10, on: wide).hasSuffix("consumer is slow: gate closed 43 % of the time"))
        // While the job is stalled no report comes, and time passes.
        meter.update(job(.stalled, 30, of: 100, stalled: 4.3), at: 10)
        #expect(meter.stalledShare(at: 20) == (4.3 + 10) / 20)
        let ended = meter.summary(of: job(.complete, 100, of: 100, stalled: 10), at: 20)
        #expect(ended == "100 B in 20 s (5 B/s); consumer was slow: gate closed 50 % of the time")
    }

    @Test("measures the rate over five seconds, and lets it fall when no bytes arrive")
    func measuresRateOverFiveSeconds() {
        var meter = ProgressMeter(at: 0)
        for second in 0...20 { meter.update(job(.streaming, second * second * 1000), at: Double(second)) }
        #expect(meter.rate(at: 20) == 1000 * Double(20 * 20 - 15 * 15) / 5)
        #expect((meter.rate(at: 23) ?? 0) < (meter.rate(at: 20) ?? 0))
        #expect(meter.rate(at: 60) == 0)
    }

    @Test(
        "is always narrower than the terminal, and drops the least important parts first", arguments: 1...140)
    func staysNarrowerThanTerminal(columns: Int) {
        var meter = ProgressMeter(at: 0)
        meter.update(job(.streaming, 0, of: 100_000_000), at: 0)
        meter.update(job(.stalled, 25_000_000, of: 100_000_000, stalled: 1), at: 2)
        let line = meter.line(at: 2, on: Terminal(width: columns, isUnicode: columns % 2 == 0))
        #expect(line.count < columns || line.isEmpty)
        #expect(columns < 9 || line.contains("25.0 MB"))
        #expect(columns < 30 || line.contains("25 %"))
        #expect(columns < 60 || line.contains("consumer is slow"))
    }

    @Test("tolerates impossible values from the service")
    func toleratesImpossibleValues() {
        var meter = ProgressMeter(at: 5)
        for job in [
            job(.streaming, -5, of: -7, stalled: -3), job(.streaming, .max, of: 1),
            job(.streaming, 0, of: .max),
            job(.stalled, .min, of: .max),
        ] {
            meter.update(job, at: 5)
            meter.update(job, at: 4)
            #expect(meter.line(at: 3, on: wide).count < 121)
            #expect(meter.line(at: 1e300, on: wide).count < 121)
            _ = meter.summary(of: job, at: 6)
        }
    }
}
