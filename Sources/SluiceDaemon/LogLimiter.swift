/// A limiter for each user and topic, so that what one client causes never silences what is said about another, or about
/// the service itself. Belongs to the loop's thread.
final class LogLimiters {
    /// What a message is about.
    enum Topic: Hashable {
        /// What happens to a user's jobs between the records of their acceptance and of their end, which have no limit.
        case jobs(of: UInt32)
        /// What a user was refused.
        case refusals(of: UInt32)
        /// What becomes of lanes: an origin can kill as many as it is asked by.
        case lanes
        /// Trouble of the service's own.
        case service

        /// Messages in each interval. The unit switches journald's own limit off (`LogRateLimitBurst=`), because that
        /// makes no difference between records and noise.
        var burst: Int {
            switch self {
            case .jobs: 3000
            case .refusals: 50
            case .lanes, .service: 100
            }
        }
    }

    /// Users beyond this many share what is left: user ids are not free, but neither is memory.
    private static let maximumTopics = 4096

    /// Messages that were not written, from the start on.
    private(set) var dropped = 0
    private var limiters: [Topic: LogLimiter] = [:]
    private let others = LogLimiter()

    func admit(_ topic: Topic, at now: ContinuousClock.Instant) -> LogLimiter.Decision {
        let decision = limiter(of: topic).admit(at: now)
        if decision == .drop { dropped += 1 }
        return decision
    }

    private func limiter(of topic: Topic) -> LogLimiter {
        if let limiter = limiters[topic] { return limiter }
        guard limiters.count < Self.maximumTopics else { return others }
        let limiter = LogLimiter(burst: topic.burst)
        limiters[topic] = limiter
        return limiter
    }
}

/// Lets so many messages through in each interval, and counts the others. Belongs to the loop's thread.
final class LogLimiter {
    enum Decision: Equatable {
        case write
        case drop
        /// Say first how many were dropped.
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
