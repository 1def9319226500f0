/// A limiter for each user and topic, so that messages that one client causes never suppress messages about another
/// client or about the service itself. Belongs to the loop's thread.
final class LogLimiters {
    /// What a message is about.
    enum Topic: Hashable {
        /// Events of a user's jobs between their acceptance and their end. The records of those two have no limit.
        case jobs(of: UInt32)
        /// Refusals of a user's requests.
        case refusals(of: UInt32)
        /// Events of lanes. An origin that can crash a lane can crash each one that asks it.
        case lanes
        /// Trouble of the service itself.
        case service

        /// Clients cannot add to the number of these topics.
        var isOfService: Bool {
            switch self {
            case .jobs, .refusals: false
            case .lanes, .service: true
            }
        }

        /// The number of messages in each interval. The unit switches journald's own limit off (`LogRateLimitBurst=`),
        /// because that limit does not tell records from noise.
        var burst: Int {
            switch self {
            case .jobs: 3000
            case .refusals: 50
            case .lanes, .service: 100
            }
        }
    }

    /// The maximum number of topics with a limiter of their own. Further topics share one, to bound the memory.
    private static let maximumTopics = 4096

    /// The number of messages that were not written since the start.
    private(set) var dropped = 0
    private var limiters: [Topic: LogLimiter] = [:]
    private var lastSweep: ContinuousClock.Instant?
    /// Idle limiters are looked for at most this often.
    private static let sweepPause = Duration.seconds(10)
    private let others = LogLimiter()

    func admit(_ topic: Topic, at now: ContinuousClock.Instant) -> LogLimiter.Decision {
        let decision = limiter(of: topic, at: now).admit(at: now)
        if decision == .drop { dropped += 1 }
        return decision
    }

    private func limiter(of topic: Topic, at now: ContinuousClock.Instant) -> LogLimiter {
        if let limiter = limiters[topic] { return limiter }
        if limiters.count >= Self.maximumTopics, lastSweep.map({ now - $0 >= Self.sweepPause }) ?? true {
            lastSweep = now
            limiters = limiters.filter { !$0.value.isIdle(at: now) }
        }
        guard limiters.count < Self.maximumTopics || topic.isOfService else { return others }
        let limiter = LogLimiter(burst: topic.burst)
        limiters[topic] = limiter
        return limiter
    }
}

/// Admits `burst` messages in each interval and counts those that it drops. Belongs to the loop's thread.
final class LogLimiter {
    enum Decision: Equatable {
        case write
        case drop
        /// Write the message, but first the number of messages that were dropped before it.
        case writeAfterDropping(Int)
    }

    private let burst: Int
    private let interval: Duration
    private var intervalEnd: ContinuousClock.Instant?
    private var written = 0
    private var dropped = 0

    init(burst: Int = 200, interval: Duration = .seconds(10)) {
        self.burst = burst
        self.interval = interval
    }

    /// Whether it is as good as a new one: its interval is over, and no drop has to be reported, or has had no message to
    /// be reported with for another interval. `LogLimiters.dropped` has counted it.
    func isIdle(at now: ContinuousClock.Instant) -> Bool {
        intervalEnd.map { now >= (dropped == 0 ? $0 : $0 + interval) } ?? true
    }

    func admit(at now: ContinuousClock.Instant) -> Decision {
        if intervalEnd.map({ now >= $0 }) ?? true {
            intervalEnd = now + interval
            written = 0
        }
        guard written < burst else {
            dropped += 1
            return .drop
        }
        written += 1
        guard dropped > 0 else { return .write }
        defer { dropped = 0 }
        return .writeAfterDropping(dropped)
    }
}
