public import SluiceInterface

/// What the service reported at one moment.
public struct TopSample: Sendable {
    /// The jobs that have not ended.
    public var jobs: [Job]
    /// The service.
    public var status: Ingest.StatusReply
    /// The time of the sample on a clock that does not jump, in seconds.
    public var seconds: Double
    /// The time of the sample in µs since 1970, on the clock of the jobs' times.
    public var nowUsec: Int

    /// A sample.
    public init(jobs: [Job], status: Ingest.StatusReply, seconds: Double, nowUsec: Int) {
        self.jobs = jobs
        self.status = status
        self.seconds = seconds
        self.nowUsec = nowUsec
    }
}

/// The order of the rows.
public enum TopSort: String, Sendable, CaseIterable {
    /// Jobs that wait for their consumers first, then those that wait for an attempt or a response.
    case state
    /// The fastest first.
    case rate
    /// Those that have delivered most first.
    case bytes
    /// The oldest first.
    case age
    /// Those whose origins have waited longest first.
    case stalled

    /// The key that selects it in the live view.
    public var key: Character {
        switch self {
        case .state: "s"
        case .rate: "r"
        case .bytes: "b"
        case .age: "a"
        case .stalled: "t"
        }
    }
}

/// The state of the live view: the last sample, and the effect of keys. Pure: the time comes from the caller.
public struct TopModel: Sendable {
    /// A job in the table.
    public struct Row: Sendable, Equatable {
        /// The job.
        public var job: Job
        /// Bytes per second between the last two samples; nil where there are no two.
        public var rate: Double?
        /// The time since it was accepted, in seconds.
        public var age: Double
        /// The share of its body that was delivered, 0 to 1; nil where its length is not known.
        public var fraction: Double?
    }

    /// What the view must do after a key.
    public enum Action: Sendable, Equatable {
        /// Draw it again.
        case draw
        /// Clear the screen and draw it again.
        case redraw
        /// Use this delay from now on.
        case setDelay(Double)
        /// End the program.
        case quit
    }

    /// The allowed intervals between two samples, in seconds.
    public static let delays = 0.1...3600.0

    /// The last sample; nil before the first one.
    public private(set) var sample: TopSample?
    /// The rows, in order.
    public private(set) var rows: [Row] = []
    /// Bytes per second of all jobs together.
    public private(set) var rate: Double?
    /// What went wrong with the service, and since when; nil while it answers.
    public private(set) var trouble: (text: String, since: Double)?
    /// The rows' order.
    public private(set) var sort: TopSort
    /// Whether the order is reversed.
    public private(set) var isReversed = false
    /// Whether new samples are ignored.
    public private(set) var isPaused = false
    /// Whether the explanation of the keys is shown instead of the jobs.
    public private(set) var showsHelp = false
    /// The interval between two samples, in seconds.
    public private(set) var delay: Double
    /// The index of the first row that is shown.
    public private(set) var offset = 0
    /// The number of rows that were shown last.
    public var visibleRows = 1

    /// When the service was first asked.
    private let began: Double

    /// A view without a sample.
    ///
    /// - Parameter began: when the service was first asked, on the samples' clock.
    public init(sort: TopSort = .rate, delay: Double = 1, at began: Double = 0) {
        self.sort = sort
        self.delay = delay
        self.began = began
    }

    // MARK: Samples

    /// Takes a new sample, unless the view is paused. Rates are measured from the sample before it.
    public mutating func take(_ new: TopSample) {
        trouble = nil
        guard !isPaused else { return }
        var before: [String: Job] = [:]
        for job in sample?.jobs ?? [] { before[job.id] = job }
        let span = sample.map { new.seconds - $0.seconds } ?? 0
        // A job that is new since the last sample began at 0. Before the first sample nothing is known.
        let isFirst = sample == nil || span <= 0
        rows = new.jobs.map { job in
            let age = JobTimes.seconds(from: job.createdUsec, to: new.nowUsec)
            var rate: Double?
            if !isFirst, let old = before[job.id] {
                rate = Self.rate(from: old.bytesDelivered, to: job.bytesDelivered, in: span)
            } else if !isFirst, age < span {
                rate = Self.rate(from: 0, to: job.bytesDelivered, in: span)
            }
            return Row(job: job, rate: rate, age: age, fraction: Self.fraction(of: job))
        }
        rate =
            isFirst
            ? nil
            : Self.rate(
                from: sample?.status.bytesDelivered ?? 0, to: new.status.bytesDelivered, in: span)
        // A new process of the service counts from 0.
        if sample?.status.processID != new.status.processID { rate = nil }
        sample = new
        order()
    }

    /// Records that the service does not answer.
    ///
    /// - Parameter text: one line.
    public mutating func lose(_ text: String, at seconds: Double) {
        trouble = (Self.plain(text), trouble?.since ?? seconds)
    }

    /// What to say about the service at this moment; nil where there is no problem.
    public func warning(at seconds: Double) -> String? {
        func waited(_ since: Double) -> String { Elapsed.countdown(max(0, seconds - since)) }
        if let trouble { return "\(trouble.text); looking for it (\(waited(trouble.since)))" }
        // A service may hang before it has answered for the first time, too.
        let heard = sample?.seconds ?? began
        guard !isPaused, seconds - heard > max(3, 3 * delay) else { return nil }
        return "the service has not answered for \(waited(heard))"
    }

    // MARK: Keys

    /// Handles a key.
    public mutating func press(_ key: TopKey) -> Action {
        if showsHelp {
            showsHelp = false
            return key == .character("q") ? .quit : .redraw
        }
        switch key {
        case .character("q"): return .quit
        case .character("h"), .character("?"): showsHelp = true
        case .character("p"), .character(" "): isPaused.toggle()
        case .character("o"):
            isReversed.toggle()
            order()
        case .character("+"), .character("-"):
            let factor = key == .character("+") ? 2.0 : 0.5
            delay = min(max(delay * factor, Self.delays.lowerBound), Self.delays.upperBound)
            return .setDelay(delay)
        case .character(let character):
            guard let wanted = TopSort.allCases.first(where: { $0.key == character }) else { return .draw }
            sort = wanted
            isReversed = false
            offset = 0
            order()
        case .redraw: return .redraw
        case .up: scroll(by: -1)
        case .down: scroll(by: 1)
        case .pageUp: scroll(by: -max(1, visibleRows))
        case .pageDown: scroll(by: max(1, visibleRows))
        case .home: offset = 0
        case .end: scroll(by: rows.count)
        }
        return .draw
    }

    private mutating func scroll(by lines: Int) {
        offset = max(0, min(offset + lines, rows.count - max(1, visibleRows)))
    }

    private mutating func order() {
        let sort = sort
        let isReversed = isReversed
        rows.sort { first, second in
            let comparison = Self.compare(first, second, sort)
            guard comparison != 0 else { return first.job.id < second.job.id }
            return isReversed ? comparison > 0 : comparison < 0
        }
        scroll(by: 0)
    }

    /// Negative where the first row comes first.
    private static func compare(_ first: Row, _ second: Row, _ sort: TopSort) -> Int {
        func descending<Value: Comparable>(_ one: Value, _ other: Value) -> Int {
            one == other ? 0 : one > other ? -1 : 1
        }
        switch sort {
        case .state: return rank(first.job.state) - rank(second.job.state)
        case .rate: return descending(first.rate ?? -1, second.rate ?? -1)
        case .bytes: return descending(first.job.bytesDelivered, second.job.bytesDelivered)
        case .age: return descending(first.age, second.age)
        case .stalled: return descending(first.job.stalledUsec, second.job.stalledUsec)
        }
    }

    private static func rank(_ state: JobState) -> Int {
        switch state {
        case .stalled: 0
        case .parked: 1
        case .waiting: 2
        case .connecting: 3
        case .streaming: 4
        case .queued: 5
        case .complete, .failed, .cancelled: 6
        }
    }

    /// nil where the count has fallen. A service may report any number.
    private static func rate(from old: Int, to new: Int, in seconds: Double) -> Double? {
        new >= old && seconds > 0 ? (Double(new) - Double(old)) / seconds : nil
    }

    private static func fraction(of job: Job) -> Double? {
        guard let size = job.contentLength, size > 0 else { return nil }
        return min(1, max(0, Double(job.bytesDelivered) / Double(size)))
    }

    /// A text in which each character takes one column. URLs and ids have no characters beyond ASCII, except the
    /// ellipsis that stands for values that the service hides.
    static func plain(_ text: String, isUnicode: Bool = false) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    if scalar == "…" { return isUnicode ? scalar : "." }
                    return (0x20...0x7E).contains(scalar.value) ? scalar : "?"
                }))
    }
}
