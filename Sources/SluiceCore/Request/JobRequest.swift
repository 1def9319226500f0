public import SluiceInterface

/// A job as the daemon accepted it: every value is checked, every default filled in.
public struct JobRequest: Sendable, Equatable {
    /// The URL to fetch.
    public let url: RequestURL
    /// The caller's fields.
    public let headers: RequestHeaders
    /// The watermarks of the gate.
    public let marks: Watermarks
    /// The limits on time and speed.
    public let timeouts: Timeouts
    /// The largest body, in bytes; nil for any.
    public let maximumSize: Int?
    /// Maximum number of attempts after the first one.
    public let retries: Int
    /// What the caller asks about the body's digest.
    public let digest: DigestRequest?
    /// The versions that the caller has: a list of entity-tags (RFC 9110 §13.1.2).
    public let ifNoneMatch: String?
    /// True if a body with a content coding is refused.
    public let requiresIdentity: Bool
    /// True if a redirect from https to http is followed: the caller allows it, or gives the digest that the body must
    /// have.
    public let allowsDowngrade: Bool
    /// True if the lane must speak nothing newer than HTTP/1.1.
    public let http1Only: Bool

    /// Maximum number of retries that a client may ask for.
    public static let maximumRetries = 1000
    /// The longest list of entity-tags, in bytes.
    public static let maximumIfNoneMatch = 4096

    /// Checks what a client asked for against the rules and the settings.
    ///
    /// - Throws: `RequestError`, which names the parameter.
    public init(_ parameters: Ingest.FetchParameters, settings: Settings) throws(RequestError) {
        try self.init(parameters, settings: settings, maximumSize: settings.limits.maximumSize)
    }

    /// Does the same with the size limit of one user.
    ///
    /// - Parameters:
    ///   - parameters: those of the call.
    ///   - settings: the defaults and limits.
    ///   - largest: the largest body, in bytes; nil for any.
    /// - Throws: `RequestError`, which names the parameter.
    public init(
        _ parameters: Ingest.FetchParameters, settings: Settings, maximumSize largest: Int?
    ) throws(RequestError) {
        url = try RequestURL(parameters.url)
        headers = try RequestHeaders(parameters.headers ?? [])
        let high = parameters.highWatermark ?? settings.gate.highWatermark
        marks = try Watermarks(
            high: high,
            // A caller who sets only the high mark gets a low mark in proportion, not an error about it.
            low: parameters.lowWatermark
                ?? (high > settings.gate.lowWatermark ? settings.gate.lowWatermark : high / 4),
            limit: settings.gate.maximumHighWatermark)
        var timeouts = settings.timeouts
        timeouts.connect = try Self.seconds(
            parameters.connectTimeoutSeconds, "connectTimeoutSeconds", or: timeouts.connect,
            atMost: settings.longest.connect, "maximum_connect_seconds")
        timeouts.head = try Self.seconds(
            parameters.headTimeoutSeconds, "headTimeoutSeconds", or: timeouts.head,
            atMost: settings.longest.head, "maximum_head_seconds")
        guard parameters.stallTimeoutSeconds == nil || parameters.silenceTimeoutSeconds == nil else {
            throw RequestError(
                parameter: "stallTimeoutSeconds", reason: "it is the former name of silenceTimeoutSeconds",
                remedy: "give silenceTimeoutSeconds alone")
        }
        timeouts.silence = try Self.seconds(
            parameters.silenceTimeoutSeconds ?? parameters.stallTimeoutSeconds,
            parameters.stallTimeoutSeconds == nil ? "silenceTimeoutSeconds" : "stallTimeoutSeconds",
            or: timeouts.silence,
            atMost: settings.longest.silence, "maximum_silence_seconds")
        timeouts.deadline = try Self.deadline(parameters.deadlineSeconds, settings)
        if let speed = parameters.minimumSpeed { timeouts.minimumSpeed = try Self.speed(speed) }
        self.timeouts = timeouts
        retries = try Self.retries(parameters.retries ?? settings.retries.retries)
        let digest = try parameters.digest.map { text throws(RequestError) in try DigestRequest(text) }
        self.digest = digest
        requiresIdentity = parameters.identity ?? false
        allowsDowngrade = parameters.allowDowngrade ?? false || digest?.expected != nil
        http1Only = parameters.http1 ?? false
        ifNoneMatch = try parameters.ifNoneMatch.map { text throws(RequestError) in try Self.entityTags(text)
        }
        if let size = parameters.maximumSize {
            guard size >= 0 else {
                throw RequestError(
                    parameter: "maximumSize", reason: "\(size) is negative", remedy: "give a size in bytes")
            }
            maximumSize = largest.map { min($0, size) } ?? size
        } else {
            maximumSize = largest
        }
    }

    /// The request with every default filled in, as it is stored.
    ///
    /// `JobRequest(restoring:)` makes an equal request from it.
    public var parameters: Ingest.FetchParameters {
        var parameters = Ingest.FetchParameters(url: url.text)
        parameters.headers = headers.fields
        parameters.highWatermark = marks.high
        parameters.lowWatermark = marks.low
        parameters.connectTimeoutSeconds = timeouts.connect
        parameters.headTimeoutSeconds = timeouts.head
        parameters.silenceTimeoutSeconds = timeouts.silence
        parameters.minimumSpeed = timeouts.minimumSpeed
        parameters.deadlineSeconds = timeouts.deadline
        parameters.maximumSize = maximumSize
        parameters.retries = retries
        parameters.digest = digest?.description
        parameters.ifNoneMatch = ifNoneMatch
        parameters.identity = requiresIdentity ? true : nil
        parameters.allowDowngrade = allowsDowngrade ? true : nil
        parameters.http1 = http1Only ? true : nil
        return parameters
    }

    /// Restores a request that was accepted earlier, whatever the settings are now.
    ///
    /// - Throws: `RequestError` if no settings would have accepted it.
    public init(restoring parameters: Ingest.FetchParameters) throws(RequestError) {
        var settings = Settings()
        settings.gate.maximumHighWatermark = .max
        settings.longest = .any
        settings.timeouts.deadline = nil
        settings.timeouts.minimumSpeed = nil
        try self.init(parameters, settings: settings)
    }

    private static func retries(_ value: Int) throws(RequestError) -> Int {
        guard (0...maximumRetries).contains(value) else {
            throw RequestError(
                parameter: "retries", reason: "\(value) is not between 0 and \(maximumRetries)",
                remedy: "give the number of attempts that may fail before the job does")
        }
        return value
    }

    private static func entityTags(_ text: String) throws(RequestError) -> String {
        func refuse(_ reason: String) -> RequestError {
            RequestError(
                parameter: "ifNoneMatch", reason: reason,
                remedy: "give the ETag of an earlier response, as it came, in its double quotes")
        }
        guard text.utf8.count <= maximumIfNoneMatch else {
            throw refuse("it has \(text.utf8.count) bytes; at most \(maximumIfNoneMatch) are allowed")
        }
        var rest = Substring(text.trimmingBlanks)
        repeat {
            rest = rest.drop { $0 == " " || $0 == "\t" }
            if rest.hasPrefix("W/") { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\""),
                rest[..<end].utf8.dropFirst().allSatisfy({ (0x21...0x7e).contains($0) })
            else { throw refuse("\(RequestURL.quote(text)) is not a list of entity-tags") }
            rest = rest[rest.index(after: end)...].drop { $0 == " " || $0 == "\t" }
            if rest.isEmpty { return text.trimmingBlanks }
            guard rest.first == "," else {
                throw refuse("\(RequestURL.quote(text)) is not a list of entity-tags")
            }
            rest = rest.dropFirst()
        } while true
    }

    /// 0 is no limit, whatever the settings say.
    private static func speed(_ value: Int) throws(RequestError) -> Int? {
        if value == 0 { return nil }
        guard Timeouts.speeds.contains(value) else {
            throw RequestError(
                parameter: "minimumSpeed",
                reason: "\(value) is not between 0 and \(Timeouts.speeds.upperBound) bytes a second",
                remedy: "give a number of bytes a second, or 0 for no limit")
        }
        return value
    }

    /// - Parameters:
    ///   - standard: the value for jobs that name none; every job may ask for it.
    ///   - setting: the key of `most` in the section `timeouts`.
    private static func seconds(
        _ value: Double?, _ name: String, or standard: Double, atMost most: Double, _ setting: String
    ) throws(RequestError) -> Double {
        guard let value else { return standard }
        guard Timeouts.range.contains(value) else {
            throw RequestError(
                parameter: name, reason: "\(value) is not between 0.001 and 31536000 seconds",
                remedy: "give a time in seconds, at most a year")
        }
        let limit = max(most, standard)
        guard value <= limit else {
            throw RequestError(
                parameter: name,
                reason: "\(value) s is longer than the \(limit) s that this service allows",
                remedy: "ask for at most \(limit), or have the administrator raise timeouts.\(setting)")
        }
        return value
    }

    /// The longest deadline also applies to jobs that ask for none.
    private static func deadline(_ value: Double?, _ settings: Settings) throws(RequestError) -> Double? {
        let standard = settings.timeouts.deadline
        guard let value else { return standard ?? settings.longest.deadline }
        return try seconds(
            value, "deadlineSeconds", or: standard ?? 0,
            atMost: settings.longest.deadline ?? Timeouts.range.upperBound, "maximum_deadline_seconds")
    }
}

/// Limits on time, in seconds, and on speed.
public struct Timeouts: Sendable, Equatable, Codable {
    /// The range of each time limit: a millisecond to a year.
    public static let range = 0.001...31_536_000

    /// The range of the least speed, in bytes a second: up to 1 TiB. The bytes of one `speedSpan` fit into an `Int`.
    public static let speeds = 1...1 << 40
    /// The time over which the speed is measured, in seconds.
    public static let speedSpan = 30.0

    /// The limit until a connection to the origin, or through a proxy, is ready for the request, TLS included.
    public var connect: Double
    /// The limit from then on until the head of the final response has arrived, redirects and their connections
    /// included.
    public var head: Double
    /// The limit for silence of the origin while the gate is open.
    public var silence: Double
    /// The limit for the whole job; nil for none.
    public var deadline: Double?
    /// The least speed of the origin while the gate is open, in bytes a second over `speedSpan`; nil for none.
    public var minimumSpeed: Int?

    /// Limits; nothing is checked here.
    public init(
        connect: Double, head: Double, silence: Double, deadline: Double?, minimumSpeed: Int? = nil
    ) {
        self.connect = connect
        self.head = head
        self.silence = silence
        self.deadline = deadline
        self.minimumSpeed = minimumSpeed
    }
}
