public import SluiceInterface

/// An attempt that has ended, with the facts that decide whether the job goes on.
public struct AttemptEnd: Sendable {
    /// The outcome that the lane reported, or the one that stands for the lane's death.
    public var outcome: Outcome
    /// The status of the last response.
    public var status: Int?
    /// The pause that the server asked for, in seconds.
    public var retryAfterSeconds: Double?
    /// True if the lane died.
    public var isDeath: Bool
    /// Bytes that the consumer had when an earlier attempt last failed. Bytes that came since then are progress.
    public var position: Int
    /// Bytes of the body that the consumer's pipe has received so far.
    public var delivered: Int
    /// The representation that the delivered bytes belong to.
    public var known: Representation?
    /// True if the caller asked for a digest.
    public var wantsDigest: Bool

    /// Creates the facts about an end.
    public init(
        outcome: Outcome, status: Int? = nil, retryAfterSeconds: Double? = nil, isDeath: Bool = false,
        position: Int, delivered: Int, known: Representation?, wantsDigest: Bool
    ) {
        self.outcome = outcome
        self.status = status
        self.retryAfterSeconds = retryAfterSeconds
        self.isDeath = isDeath
        self.position = position
        self.delivered = delivered
        self.known = known
        self.wantsDigest = wantsDigest
    }
}

/// What happens after an attempt.
public enum AttemptDecision: Sendable, Equatable {
    /// The job ends with this outcome.
    case finish(Outcome)
    /// Another attempt follows after this pause, in seconds.
    case retry(pause: Double)
}

/// The rules that decide what follows an attempt: a request that may be repeated is repeated, a body that can be
/// continued exactly is continued, and otherwise the outcome says why the job cannot go on.
public enum AttemptRules {
    /// Judges the end of an attempt.
    ///
    /// - Parameters:
    ///   - end: how the attempt ended.
    ///   - policy: counts the failure if it is one that may be repeated.
    ///   - statuses: response statuses that are retried.
    ///   - pauses: the lengths of the pauses between attempts.
    ///   - secondsLeft: seconds until the job's deadline; nil if it has none.
    ///   - random: from 0 up to 1.
    public static func judge(
        _ end: AttemptEnd, policy: inout RetryPolicy, statuses: Set<Int> = RetryPolicy.defaultStatuses,
        pauses: RetryPolicy.Pauses, secondsLeft: Double?, random: @autoclosure () -> Double
    ) -> AttemptDecision {
        let outcome = end.outcome
        guard outcome.code.state == .failed else { return .finish(outcome) }
        if let whole = wholeInSpiteOfAll(end) { return .finish(whole) }
        guard RetryPolicy.isRetryable(outcome.code, status: end.status, statuses: statuses) else {
            return .finish(outcome)
        }
        // The job allows no retries. The outcome is what happened, not the reason why the body cannot be continued.
        guard policy.retries > 0 else { return .finish(outcome) }
        if end.delivered > 0, let refusal = obstacle(end) { return .finish(refusal) }
        let attempts = policy.failures + 1
        guard
            let pause = policy.failed(
                progress: end.delivered - end.position, isDeath: end.isDeath,
                retryAfter: end.retryAfterSeconds, pauses: pauses, random: random())
        else {
            let count = max(policy.failures, policy.deaths)
            return .finish(outcome.adding("; given up after \(count) failures"))
        }
        if let secondsLeft, pause >= secondsLeft {
            return .finish(outcome.adding("; the deadline leaves no time for attempt \(attempts + 1)"))
        }
        return .retry(pause: pause)
    }

    /// The complete outcome if the lane died, or the connection broke, after the last byte; nil otherwise. The
    /// announced length tells that it was the last byte.
    private static func wholeInSpiteOfAll(_ end: AttemptEnd) -> Outcome? {
        guard let known = end.known, let length = known.length, known.framing == .length,
            known.digests.isEmpty,
            !end.wantsDigest, end.delivered == length, end.isDeath || end.outcome.code == .connectionLost
        else { return nil }
        return Outcome(.complete, "the body has \(length) bytes")
    }

    /// Why the body cannot be continued after the bytes that are in the consumer's pipe; nil if it can.
    public static func obstacle(_ end: AttemptEnd) -> Outcome? {
        guard let known = end.known else {
            return Outcome(
                .notResumable,
                "\(end.outcome.message); it cannot be continued: its version is unknown")
        }
        guard let (code, reason) = known.obstacle else { return nil }
        let message = "\(end.outcome.message); it cannot be continued: \(reason)"
        // `originGaveUp` tells that the consumer was the cause, which says more than the lack of a validator.
        return Outcome(end.outcome.code == .originGaveUp ? .originGaveUp : code, message)
    }
}

extension Outcome {
    fileprivate func adding(_ words: String) -> Outcome {
        var outcome = self
        outcome.message += words
        return outcome
    }
}
