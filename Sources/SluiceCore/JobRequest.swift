public import SluiceInterface

/// A job as it was accepted: every value checked, every default filled in.
public struct JobRequest: Sendable, Equatable {
    /// What to fetch.
    public let url: RequestURL
    /// The caller's fields.
    public let headers: RequestHeaders
    /// Where the gate closes and opens.
    public let marks: Watermarks
    /// The time limits.
    public let timeouts: Timeouts
    /// The largest body, in bytes; nil for any.
    public let maximumSize: Int?

    /// Checks what a client asked for against the rules and the settings.
    ///
    /// - Throws: `RequestError`, which names the parameter.
    public init(_ parameters: Ingest.FetchParameters, settings: Settings) throws(RequestError) {
        url = try RequestURL(parameters.url)
        headers = try RequestHeaders(parameters.headers ?? [])
        let high = parameters.highWatermark ?? settings.gate.highWatermark
        marks = try Watermarks(
            high: high,
            // A caller who lowers the high mark alone means the same shape, not an error about the other.
            low: parameters.lowWatermark
                ?? (high > settings.gate.lowWatermark ? settings.gate.lowWatermark : high / 4),
            limit: settings.gate.maximumHighWatermark)
        var timeouts = settings.timeouts
        timeouts.connect = try Self.seconds(
            parameters.connectTimeoutSeconds, "connectTimeoutSeconds", or: timeouts.connect)
        timeouts.stall = try Self.seconds(
            parameters.stallTimeoutSeconds, "stallTimeoutSeconds", or: timeouts.stall)
        if let deadline = parameters.deadlineSeconds {
            timeouts.deadline = try Self.seconds(deadline, "deadlineSeconds", or: 0)
        }
        self.timeouts = timeouts
        let limit = settings.limits.maximumSize
        if let size = parameters.maximumSize {
            guard size >= 0 else {
                throw RequestError(
                    parameter: "maximumSize", reason: "\(size) is negative", remedy: "give a size in bytes")
            }
            maximumSize = limit.map { min($0, size) } ?? size
        } else {
            maximumSize = limit
        }
    }

    private static func seconds(_ value: Double?, _ name: String, or standard: Double)
        throws(RequestError) -> Double
    {
        guard let value else { return standard }
        guard Timeouts.range.contains(value) else {
            throw RequestError(
                parameter: name, reason: "\(value) is not between 0.001 and 31536000 seconds",
                remedy: "give a time in seconds, at most a year")
        }
        return value
    }
}

/// Time limits, in seconds.
public struct Timeouts: Sendable, Equatable, Codable {
    /// What each of them may be: a millisecond to a year.
    public static let range = 0.001...31_536_000

    /// Until the head of the response is there, redirects included.
    public var connect: Double
    /// For silence of the origin while the gate is open.
    public var stall: Double
    /// For everything; nil for no limit.
    public var deadline: Double?

    /// Three limits; nothing is checked here.
    public init(connect: Double, stall: Double, deadline: Double?) {
        self.connect = connect
        self.stall = stall
        self.deadline = deadline
    }
}
