public import SluiceInterface

/// Turns reports about a job into one line of progress. Pure: the time comes from the caller.
public struct ProgressMeter: Sendable {
    /// The rate is measured over this number of seconds, so that it neither flickers nor lags.
    static let window = 5.0
    /// The consumer is called slow when the gate was closed for this share of the time or more.
    static let slowShare = 0.1

    private struct Sample {
        var seconds: Double
        var bytes: Int
    }

    private var job: Job?
    private var jobSeconds = 0.0
    private var retrySeconds: Double?
    private var isAway = false
    private var samples: [Sample] = []
    private let start: Double

    /// A meter that starts now.
    ///
    /// - Parameter seconds: now, on a clock that does not jump.
    public init(at seconds: Double) {
        start = seconds
    }

    /// Updates the meter with a report.
    ///
    /// - Parameter nowUsec: now, in µs since 1970, on the clock of the job's times; nil if that is not known.
    public mutating func update(_ job: Job, at seconds: Double, nowUsec: Int? = nil) {
        self.job = job
        isAway = false
        retrySeconds = nil
        if let nowUsec, let retry = job.retryUsec {
            retrySeconds = seconds + JobTimes.seconds(from: nowUsec, to: retry)
        }
        jobSeconds = seconds
        samples.append(Sample(seconds: seconds, bytes: job.bytesDelivered))
        // One sample that is older than the window stays, to measure from it.
        while samples.count > 2, seconds - samples[1].seconds >= Self.window { samples.removeFirst() }
    }

    /// Records that the service has gone away. The next report ends this.
    public mutating func loseService() {
        isAway = true
    }

    /// Bytes per second over the window; nil before there is anything to measure.
    public func rate(at seconds: Double) -> Double? {
        guard let last = samples.last else { return nil }
        // When reports have stopped, the window moves on and the rate falls.
        let first = samples.first { seconds - $0.seconds <= Self.window } ?? last
        let span = seconds - first.seconds
        guard span >= 0.2 else { return nil }
        return Double(max(0, last.bytes - first.bytes)) / span
    }

    /// The share of the time so far that the gate was closed, 0 to 1.
    public func stalledShare(at seconds: Double) -> Double {
        guard let job, seconds > start else { return 0 }
        var stalled = Double(job.stalledUsec) / 1e6
        // No reports come while the job does not progress.
        if job.state == .stalled || job.state == .parked { stalled += max(0, seconds - jobSeconds) }
        return min(1, max(0, stalled / (seconds - start)))
    }

    /// Whether the consumer is what the job waits for.
    public func isConsumerSlow(at seconds: Double) -> Bool {
        job?.state == .stalled || job?.state == .parked || stalledShare(at: seconds) >= Self.slowShare
    }

    /// The line. It is at least one column shorter than the terminal is wide, since a character in the last column
    /// makes some terminals wrap.
    ///
    /// Parts that do not fit are left out, the least important first.
    public func line(at seconds: Double, on terminal: Terminal) -> String {
        let elapsed = Elapsed.clock(seconds - start)
        guard let status = status(at: seconds) else {
            return job.map { job in
                Self.fitted(parts(job, at: seconds), bar: bar(job, terminal), terminal.width - 1)
            } ?? ""
        }
        return Self.fitted([status, elapsed], terminal.width - 1)
    }

    /// The words to show while nothing flows; nil where the parts say more.
    private func status(at seconds: Double) -> String? {
        if isAway { return "the service has gone away: waiting for it" }
        guard let job else { return "asking the service" }
        switch job.state {
        case .queued: return "queued: waits for a lane" + Self.position(of: job)
        case .connecting: return "connecting" + Self.position(of: job)
        case .waiting:
            let pause = retrySeconds.map { Elapsed.countdown($0 - seconds) }
            return Terminal.printable(JobAttempts.next(job, in: pause))
        case .streaming, .stalled, .parked, .complete, .failed, .cancelled: return nil
        }
    }

    /// The position at which a body continues.
    private static func position(of job: Job) -> String {
        job.bytesDelivered > 0 ? ", to go on after \(ByteSize.describe(job.bytesDelivered))" : ""
    }

    /// The line that stays on the screen when the body is complete: `1.1 GB in 3.2 s (340 MB/s)`, and which side was
    /// slow.
    public func summary(of job: Job, at seconds: Double) -> String {
        var meter = self
        meter.update(job, at: seconds)
        let span = seconds - start
        var text = "\(ByteSize.describe(job.bytesDelivered)) in \(Elapsed.brief(span))"
        if let rate = Elapsed.rate(bytes: job.bytesDelivered, seconds: span) { text += " (\(rate))" }
        if let coding = Self.coding(of: job) { text += "; coded as \(coding)" }
        if meter.isConsumerSlow(at: seconds) { text += "; consumer was slow: \(meter.closed(at: seconds))" }
        return text
    }

    private func closed(at seconds: Double) -> String {
        "gate closed \(Int((stalledShare(at: seconds) * 100).rounded())) % of the time"
    }

    // MARK: Parts

    /// The parts in their order on the line, each with its weight. The one with the lowest weight is left out first.
    private func parts(_ job: Job, at seconds: Double) -> [Part] {
        var parts: [Part] = []
        let total = job.contentLength.flatMap { $0 > 0 ? $0 : nil }
        if let fraction = Self.fraction(of: job) {
            let percent = Int((fraction * 100).rounded(.down))
            parts.append(Part("\(percent < 10 ? "  " : percent < 100 ? " " : "")\(percent) %", weight: 9))
        }
        let bytes = ByteSize.describe(job.bytesDelivered)
        parts.append(Part(bytes, weight: 10))
        if let total { parts.append(Part("of \(ByteSize.describe(total))", weight: 4, joins: " ")) }
        if let coding = Self.coding(of: job) { parts.append(Part(coding, weight: 2)) }
        let rate = rate(at: seconds)
        if let rate, let whole = Int(exactly: rate.rounded()) {
            parts.append(Part("\(ByteSize.describe(whole))/s", weight: 8))
        }
        if let total, let rate, rate >= 1, total >= job.bytesDelivered {
            let left = Double(total - job.bytesDelivered) / rate
            parts.append(Part("ETA \(Elapsed.clock(left))", weight: 5))
        }
        parts.append(Part("\(Elapsed.clock(seconds - start)) elapsed", weight: 3))
        if isConsumerSlow(at: seconds) {
            let isParked = job.state == .parked
            parts.append(Part(isParked ? "parked until it is read" : "consumer is slow", weight: 7))
            parts.append(Part(closed(at: seconds), weight: 6, joins: ": "))
        }
        return parts
    }

    /// The coding of a coded body, since a user who expects text should know. It is short, to leave room for other
    /// parts.
    private static func coding(of job: Job) -> String? {
        job.contentEncoding.map { Terminal.printable(String($0.prefix(16))) }
    }

    private static func fraction(of job: Job) -> Double? {
        guard let total = job.contentLength, total > 0 else { return nil }
        return min(1, Double(job.bytesDelivered) / Double(total))
    }

    private func bar(_ job: Job, _ terminal: Terminal) -> Bar? {
        Self.fraction(of: job).map { Bar(fraction: $0, isUnicode: terminal.isUnicode) }
    }
}
