public import SluiceInterface

/// When a failed attempt is repeated, and after how long.
///
/// The pause is exponential with full jitter: a random time up to a limit that doubles with each failure. The clients
/// of a server that becomes available again thus do not all return at the same moment. (Marc Brooker, "Exponential
/// Backoff And Jitter", 2015.)
public struct RetryPolicy: Sendable, Equatable, Codable {
    /// An attempt that delivers at least this many bytes resets the count of failures to 0. The count of lane deaths is
    /// never reset, because otherwise a server that kills lanes could do so without end.
    public static let progressThatForgives = 1 << 20

    /// Settings of the pauses.
    public struct Pauses: Sendable, Equatable {
        /// The longest pause before the first retry, in seconds: 0 to 3,600.
        public var base = 0.5
        /// The longest pause before any retry, in seconds: 0 to 86,400.
        public var longest = 30.0
        /// The longest pause that a server's Retry-After can ask for, in seconds: 0 to 86,400.
        public var longestRetryAfter = 120.0

        /// The defaults.
        public init() {}
    }

    /// Statuses that are retried by default: those that stand for a temporary condition of the origin (RFC 9110 §15) or
    /// of a content delivery network in front of it (520 to 524).
    public static let defaultStatuses: Set<Int> = [408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]

    /// Number of failures in a row that are tolerated.
    public let retries: Int
    /// Failures in a row.
    public private(set) var failures = 0
    /// Number of lanes that died while they worked for this job.
    public private(set) var deaths = 0

    /// A job without failures.
    ///
    /// - Parameter retries: the number of failures in a row, and of lane deaths, that are tolerated.
    public init(retries: Int) {
        self.retries = retries
    }

    /// Whether the counts are plausible: they may come from a damaged store.
    public var isPlausible: Bool {
        (0...JobRequest.maximumRetries).contains(retries) && (0...retries + 1).contains(failures)
            && (0...retries + 1).contains(deaths)
    }

    /// Whether an attempt that ended like this may be repeated at all.
    ///
    /// - Parameters:
    ///   - code: the outcome of the attempt.
    ///   - status: the status of the response if the outcome is `httpStatus`, or of the proxy's answer to CONNECT if it
    ///     is `proxyRefused`.
    ///   - statuses: those that may be repeated.
    public static func isRetryable(
        _ code: OutcomeCode, status: Int?, statuses: Set<Int> = defaultStatuses
    ) -> Bool {
        switch code {
        case .nameNotResolved, .connectionRefused, .connectFailed, .connectTimeout, .headTimeout,
            .proxyUnreachable, .truncated, .connectionLost, .originGaveUp, .silenceTimeout, .tooSlow,
            .laneDied:
            true
        case .httpStatus, .proxyRefused:
            status.map(statuses.contains) ?? false
        case .complete, .completeUnverified, .unchanged, .cancelled, .consumerGone, .consumerTooSlow,
            .serviceStopped, .addressDenied, .tlsCertificateExpired, .tlsWrongHost, .tlsUntrusted, .tlsFailed,
            .protocolError,
            .tooManyRedirects, .redirectRefused, .contentEncoded, .unexpectedPartial, .tooLarge,
            .deadlineExceeded, .noValidator, .weakValidator, .notResumable, .resourceChanged, .unknownVersion,
            .lengthChanged, .wrongRange, .multipartRange, .rangeNotSatisfiable, .digestMismatch,
            .laneUnavailable, .deliveryUncertain:
            false
        }
    }

    /// An attempt has failed in a way that may be repeated.
    ///
    /// - Parameters:
    ///   - progress: bytes that the attempt delivered.
    ///   - isDeath: the lane died.
    ///   - retryAfter: what the server asked for, in seconds.
    ///   - pauses: the lengths of the pauses.
    ///   - random: from 0 up to 1.
    /// - Returns: the pause, in seconds; nil if no further failure is tolerated.
    public mutating func failed(
        progress: Int, isDeath: Bool, retryAfter: Double?, pauses: Pauses, random: Double
    ) -> Double? {
        if progress >= Self.progressThatForgives { failures = 0 }
        failures += 1
        if isDeath { deaths += 1 }
        guard failures <= retries, deaths <= retries else { return nil }
        // The pause also grows with the deaths, which are never forgiven: starting lanes for one origin costs all
        // users.
        let limit = min(pauses.longest, pauses.base * Double(1 << min(max(failures, deaths) - 1, 30)))
        let pause = limit * random
        guard let retryAfter else { return pause }
        return max(pause, min(max(0, retryAfter), pauses.longestRetryAfter))
    }

    /// The longest pause that a Retry-After can ask for, in seconds: a year. A server may send any number of digits, and
    /// the result must stay finite because it is encoded as JSON.
    public static let longestRetryAfter = 31_536_000.0

    /// Reads the field Retry-After (RFC 9110 §10.2.3): seconds, or a date.
    ///
    /// - Parameters:
    ///   - text: the value of the field.
    ///   - now: in seconds since 1970.
    /// - Returns: seconds from now on, a year at most, 0 for a date that has passed; nil if the text is neither.
    public static func retryAfter(_ text: String, now: Int) -> Double? {
        let text = text.trimmingBlanks
        if !text.isEmpty, text.utf8.allSatisfy(\.isDigit) {
            return Int(digits: text.utf8, atMost: Int(longestRetryAfter)).map(Double.init)
                ?? longestRetryAfter
        }
        return HTTPDate.parse(text).map { min(max(0, Double($0) - Double(now)), longestRetryAfter) }
    }
}
