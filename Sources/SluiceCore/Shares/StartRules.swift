/// Decides how many lanes to start for jobs that wait.
///
/// Each start takes processor time that the lanes at work could use. So no more starts go on at a time than there are
/// processors, and none is begun for a user whose own lanes will probably have done the work before a new lane could help. A
/// lane whose body takes longer than that is not worth waiting for: its body is long, slow or stalled.
///
/// A value without I/O: times are in ns of any monotonic clock.
public struct StartRules: Sendable, Equatable {
    /// What is known at a moment, about one user whose jobs wait.
    public struct Situation: Sendable, Equatable {
        /// Number of the user's jobs that wait and could run if there were lanes.
        public var waiting: Int
        /// Number of jobs of other users that need new lanes.
        public var othersWaiting: Int
        /// Number of lanes that are starting and can serve any user.
        public var coming: Int
        /// For how long each lane has been starting, in ns.
        public var starting: [UInt64]
        /// For how long each lane of the user that could take the next job has been at work, in ns.
        public var busy: [UInt64]

        /// Creates a situation.
        public init(
            waiting: Int, othersWaiting: Int = 0, coming: Int = 0, starting: [UInt64] = [],
            busy: [UInt64] = []
        ) {
            self.waiting = waiting
            self.othersWaiting = othersWaiting
            self.coming = coming
            self.starting = starting
            self.busy = busy
        }
    }

    /// What to do.
    public enum Decision: Sendable, Equatable {
        /// Start this number of lanes, at least one.
        case start(Int)
        /// Start none: there will be a lane for each job.
        case enough
        /// Start none yet. Ask again when a lane is ready or idle, or after this time, in ns.
        case later(UInt64)
        /// Start none for any user, because no processor is free. Ask again when a lane is ready, or after this time, in ns.
        case full(UInt64)
    }

    /// The part of a measurement in the averages below.
    private static let weight = 0.25
    /// A start that takes longer waits for something else than a processor, so it does not hold others back. In ns.
    private static let longestStart: UInt64 = 1_000_000_000
    /// The longest time that counts as one of a start, in ns: after a machine was suspended, or a nursery has hung, starts must
    /// not look long for hours.
    private static let longestMeasured: UInt64 = 500_000_000
    /// The longest time that a lane is waited for, in ns: lanes that share the processors may also all wait for their origins.
    private static let longestPatience = 250e6

    private let processors: Int
    /// How long a start takes, in ns.
    private var startTime: Double
    /// How long a body keeps its lane, in ns, over the bodies that ended within the time of a start; nil if none did.
    private var bodyTime: Double?

    /// Rules for a service that has measured nothing yet.
    ///
    /// - Parameters:
    ///   - processors: how many the service may use.
    ///   - startTime: a guess at how long a start takes, in ns. If it is 0, no lane is ever worth waiting for until a start
    ///     has taken longer.
    public init(processors: Int, startTime: UInt64) {
        self.processors = max(1, processors)
        self.startTime = Double(startTime)
    }

    /// A lane has become ready this long after its start had begun.
    public mutating func started(after time: UInt64) {
        guard time <= Self.longestMeasured else { return }
        startTime += (Double(time) - startTime) * Self.weight
    }

    /// A lane is idle again this long after it got its order.
    public mutating func ended(after time: UInt64) {
        let time = Double(time)
        guard time <= startTime else { return }
        bodyTime = bodyTime.map { $0 + (time - $0) * Self.weight } ?? time
    }

    /// How many lanes to start.
    public func decide(_ situation: Situation) -> Decision {
        let missing = situation.othersWaiting + situation.waiting - situation.coming
        guard situation.waiting > 0, missing > 0 else { return .enough }
        let ages = situation.busy.sorted()
        let useful =
            (1...max(1, ages.count)).last { $0 <= ages.count && ages[$0 - 1] < patience(with: $0) } ?? 0
        if useful > 0 {
            // With one lane more the work would end earlier by this part of its time.
            let work = Double(situation.waiting) * min(bodyTime ?? startTime, startTime) / Double(useful)
            let gain = work / Double(useful + 1)
            // The situation changes when the oldest of these lanes is not worth waiting for any more.
            if gain <= startTime { return .later(patience(with: useful) - ages[useful - 1]) }
        }
        let counted = situation.starting.filter { $0 <= Self.longestStart }
        let free = processors - counted.count
        guard free > 0 else { return .full(Self.longestStart + 1 - (counted.max() ?? 0)) }
        return .start(min(missing, free))
    }

    /// How long a body is waited for while this number of lanes share the processors, in ns: as long as a start takes, and
    /// longer where each lane gets only a part of a processor. More lanes would not make them faster.
    private func patience(with lanes: Int) -> UInt64 {
        UInt64(max(startTime, min(Self.longestPatience, startTime * Double(lanes) / Double(processors))))
    }
}
