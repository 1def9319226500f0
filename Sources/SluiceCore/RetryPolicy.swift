public import SluiceInterface

/// When a failed attempt is repeated, and after how long.
///
/// The pause is exponential with full jitter: any time up to a limit that doubles, so that many clients of one server
/// that came back do not come back together. (Marc Brooker, "Exponential Backoff And Jitter", 2015.)
public struct RetryPolicy: Sendable, Equatable, Codable {
    /// An attempt that has brought so many bytes, in bytes, was a good one: failures are counted from 0 again. The
    /// death of a lane is never forgiven, for a server that kills lanes could do so for ever.
    public static let progressThatForgives = 1 << 20

    /// Settings of the pauses.
    public struct Pauses: Sendable, Equatable {
        /// Up to so long before the first repetition, in seconds: 0 to 3,600.
        public var base = 0.5
        /// Never longer, in seconds: 0 to 86,400.
        public var longest = 30.0
        /// A server's Retry-After counts up to this, in seconds: 0 to 86,400.
        public var longestRetryAfter = 120.0

        /// The defaults.
        public init() {}
    }

    /// Statuses that are repeated where the settings do not say: those that speak of a state that may pass, of the origin
    /// (RFC 9110 §15) or of a distributor in front of it (520 to 524).
    public static let defaultStatuses: Set<Int> = [408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524]

    /// Failures that are borne.
    public let retries: Int
    /// Failures in a row.
    public private(set) var failures = 0
    /// Lanes that died of this job.
    public private(set) var deaths = 0

    /// A job without failures.
    ///
    /// - Parameter retries: attempts that may fail before the job does.
    public init(retries: Int) {
        self.retries = retries
    }

    /// Whether the counts can be those of a job; what was stored may be damaged.
    public var isPlausible: Bool {
        (0...JobRequest.maximumRetries).contains(retries) && (0...retries + 1).contains(failures)
            && (0...retries + 1).contains(deaths)
    }

    /// Whether an attempt that ended like this may be repeated at all.
    ///
    /// - Parameters:
    ///   - status: of the response, where the outcome is `httpStatus`, or of the proxy's answer to CONNECT, where it is
    ///     `proxyRefused`.
    ///   - statuses: those that may be repeated.
    public static func isRetryable(
        _ code: OutcomeCode, status: Int?, statuses: Set<Int> = defaultStatuses
    ) -> Bool {
        switch code {
        case .nameNotResolved, .connectionRefused, .connectFailed, .connectTimeout, .headTimeout,
            .proxyUnreachable, .truncated, .connectionLost, .originGaveUp, .stallTimeout, .tooSlow, .laneDied:
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
    ///   - progress: bytes that it has brought.
    ///   - isDeath: the lane died.
    ///   - retryAfter: what the server asked for, in seconds.
    ///   - random: from 0 up to 1.
    /// - Returns: the pause, in seconds; nil where there have been enough.
    public mutating func failed(
        progress: Int, isDeath: Bool, retryAfter: Double?, pauses: Pauses, random: Double
    ) -> Double? {
        if progress >= Self.progressThatForgives { failures = 0 }
        failures += 1
        if isDeath { deaths += 1 }
        guard failures <= retries, deaths <= retries else { return nil }
        // Deaths are never forgiven, and neither are their pauses: starting lanes for one origin costs everybody.
        let limit = min(pauses.longest, pauses.base * Double(1 << min(max(failures, deaths) - 1, 30)))
        let pause = limit * random
        guard let retryAfter else { return pause }
        return max(pause, min(max(0, retryAfter), pauses.longestRetryAfter))
    }

    /// A year, in seconds. Nobody waits for so long; but any number of digits may come, and what they make must not be
    /// infinite, for it goes on as JSON.
    private static let longest = 31_536_000.0

    /// Reads the field Retry-After (RFC 9110 §10.2.3): seconds, or a date.
    ///
    /// - Parameter now: in seconds since 1970.
    /// - Returns: seconds from now on, a year at most, 0 for a date that has passed; nil for what is neither.
    public static func retryAfter(_ text: String, now: Int) -> Double? {
        let text = text.trimmingBlanks
        if !text.isEmpty, text.utf8.allSatisfy(\.isDigit) {
            return Int(digits: text.utf8, atMost: Int(longest)).map(Double.init) ?? longest
        }
        return HTTPDate.parse(text).map { min(max(0, Double($0) - Double(now)), longest) }
    }
}
