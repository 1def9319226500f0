public import SluiceInterface

/// An attempt that is over, and did not bring the job to its end by itself.
public struct AttemptEnd: Sendable {
    /// What the lane says, or what its death means.
    public var outcome: Outcome
    /// Of the last response.
    public var status: Int?
    /// The pause that the server asked for, in seconds.
    public var retryAfterSeconds: Double?
    /// The lane died.
    public var isDeath: Bool
    /// How many bytes the consumer had when an attempt failed before: what has come since is progress.
    public var position: Int
    /// How many bytes of the body the consumer's pipe has got by now.
    public var delivered: Int
    /// What they are of.
    public var known: Representation?
    /// The caller asked for a digest.
    public var wantsDigest: Bool

    /// An end.
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

/// What follows an attempt.
public enum AttemptDecision: Sendable, Equatable {
    /// Nothing: the job ends like this.
    case finish(Outcome)
    /// Another attempt, after so many seconds.
    case retry(pause: Double)
}

/// The rules by which a job goes on after an attempt: repeat what can be repeated, continue what can be continued
/// exactly, and otherwise say why not.
public enum AttemptRules {
    /// Judges the end of an attempt.
    ///
    /// - Parameters:
    ///   - policy: counts the failure, where it is one that may be repeated.
    ///   - statuses: of responses, those that may be repeated.
    ///   - secondsLeft: until the job's deadline; nil where it has none.
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
        // Nobody wants another attempt: what happened is the outcome, and not why it could not go on.
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

    /// A lane may die, and a connection break, after the last byte: the length says that it was the last.
    private static func wholeInSpiteOfAll(_ end: AttemptEnd) -> Outcome? {
        guard let known = end.known, let length = known.length, known.framing == .length,
            known.digests.isEmpty,
            !end.wantsDigest, end.delivered == length, end.isDeath || end.outcome.code == .connectionLost
        else { return nil }
        return Outcome(.complete, "the body has \(length) bytes")
    }

    /// Why the bytes that are in the consumer's pipe cannot be followed by the next one.
    public static func obstacle(_ end: AttemptEnd) -> Outcome? {
        guard let known = end.known else {
            return Outcome(
                .notResumable,
                "\(end.outcome.message); it cannot be continued: nothing is known of its version")
        }
        guard let (code, reason) = known.obstacle else { return nil }
        let message = "\(end.outcome.message); it cannot be continued: \(reason)"
        // That the consumer was the cause says more than that the server named no version.
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
