public import SluiceInterface

/// How the end of a body is distinguished from a broken connection (RFC 9112 §6.3).
public enum BodyFraming: String, Sendable, Codable, Equatable {
    /// The header announces the length.
    case length
    /// The last chunk of the chunked coding marks the end.
    case chunked
    /// The header does not announce it: the body ends with the connection, or with an HTTP/2 stream.
    case unannounced
    /// There is no body.
    case none
}

/// What the head of a final response means for its job (RFC 9110 §15).
public enum ResponseDecision: Sendable, Equatable {
    /// The body that follows is the one that was requested; `coding` is as `ContentCoding.normalised` returns it.
    case accept(length: Int?, framing: BodyFraming, coding: String?)
    /// Nothing that follows may reach the consumer.
    case refuse(OutcomeCode, String)
}

/// The rules for accepting a body. They decide on the head alone, before a byte of the body has come.
///
/// They look fields up by their names in lower case. The caller passes a repeated field as one value, in which the
/// values are joined by a comma and a space in their order (RFC 9110 §5.3).
public enum ResponseRules {
    /// Every body must be shorter than this, in bytes (64 PiB). Sums of many such lengths do not overflow.
    public static let longestBody = 1 << 56

    /// Judges a response to a request for a whole representation.
    ///
    /// - Parameters:
    ///   - status: the status of the response.
    ///   - field: looks a field up by its name in lower case.
    ///   - maximumSize: the largest body that the job allows, in bytes.
    ///   - identityOnly: the job accepts no body that has a content coding.
    public static func judge(
        status: Int, field: (String) -> String?, maximumSize: Int?, identityOnly: Bool
    ) -> ResponseDecision {
        guard (200...299).contains(status) else {
            return .refuse(.httpStatus, sentence(status: status))
        }
        let part = status == 206 ? wholePart(field) : nil
        guard status != 206 || part != nil else {
            return .refuse(.unexpectedPartial, "the server answered 206, but no range was asked for")
        }
        let coding = ContentCoding.normalised(field("content-encoding"))
        if identityOnly, let coding {
            return .refuse(.contentEncoded, "the body is encoded as \(RequestURL.quote(coding))")
        }
        let isChunked: Bool
        switch TransferCoding(field("transfer-encoding")) {
        case .none: isChunked = false
        case .chunked: isChunked = true
        case .refused(let code, let message): return .refuse(code, message)
        }
        if status == 204 { return .accept(length: 0, framing: .none, coding: nil) }
        // A Content-Length beside a transfer coding does not count (RFC 9112 §6.3, case 3).
        var length: Int?
        if !isChunked, let announced = field("content-length") {
            length = contentLength(announced)
            guard length != nil else {
                return .refuse(.protocolError, "the Content-Length is \(RequestURL.quote(announced))")
            }
        }
        if let part {
            guard length ?? part == part else {
                return .refuse(
                    .unexpectedPartial,
                    "the server answered 206 with all \(part) bytes, and announces \(length ?? 0)")
            }
            length = part
        }
        if let length, let maximumSize, length > maximumSize {
            return .refuse(.tooLarge, "the body has \(length) bytes; the job allows \(maximumSize)")
        }
        let framing: BodyFraming = length != nil ? .length : isChunked ? .chunked : .unannounced
        return .accept(length: length, framing: framing, coding: coding)
    }

    /// Reads the field Content-Length (RFC 9110 §8.6): decimal digits, or a list that repeats the same number.
    ///
    /// - Returns: nil if it has a sign, an empty element, different numbers, or a number that is too large.
    public static func contentLength(_ text: String) -> Int? {
        var length: Int?
        for element in text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            guard let number = Int(digits: element.trimmingBlanks, atMost: longestBody - 1),
                length == nil || length == number
            else { return nil }
            length = number
        }
        return length
    }

    /// Whether the server says that it serves no ranges: `Accept-Ranges: none` (RFC 9110 §14.3).
    public static func refusesRanges(_ field: (String) -> String?) -> Bool {
        guard let units = field("accept-ranges")?.asciiLowercased?.listElements.filter({ !$0.isEmpty }) else {
            return false
        }
        return !units.isEmpty && units.allSatisfy { $0 == "none" }
    }

    /// The response's entity-tag, strong or weak, as it came, if it is one that can be sent back: of visible ASCII, and no
    /// longer than a validator may be (RFC 9110 §8.8.3).
    public static func entityTag(_ field: (String) -> String?) -> String? {
        guard let tag = field("etag").fieldValue else { return nil }
        let opaque = tag.utf8.starts(with: "W/".utf8) ? tag.utf8.dropFirst(2) : tag.utf8[...]
        guard tag.utf8.count <= Validator.maximumLength, Version.isOpaqueTag(opaque) else { return nil }
        return tag
    }

    /// The length of the whole body if the part in a 206 response is the whole body (RFC 9110 §15.3.7); nil otherwise.
    static func wholePart(_ field: (String) -> String?) -> Int? {
        guard let text = field("content-range"),
            case .part(0, let last, let complete?)? = ContentRange(text), last + 1 == complete,
            complete < longestBody
        else { return nil }
        return complete
    }

    /// The outcome of a body that ended without an error.
    ///
    /// - Parameters:
    ///   - received: bytes of the body that have come.
    ///   - length: the length that the head announces; nil if it announces none.
    ///   - framing: what marks the end of the body.
    ///   - endIsProven: something other than the header showed that the body did not end with the connection.
    public static func atEnd(received: Int, length: Int?, framing: BodyFraming, endIsProven: Bool)
        -> Outcome
    {
        switch framing {
        case .length, .none:
            let length = length ?? 0
            if received == length { return Outcome(.complete, "the body has \(received) bytes") }
            return Outcome(.truncated, "the body ended after \(received) of \(length) bytes")
        case .chunked:
            return Outcome(.complete, "the body has \(received) bytes")
        case .unannounced:
            if endIsProven { return Outcome(.complete, "the body has \(received) bytes") }
            return Outcome(
                .completeUnverified,
                "\(received) bytes came before the server closed the connection; it announced no length")
        }
    }

    /// The message for a status that is not accepted.
    static func sentence(status: Int) -> String {
        "the server answered \(status)\(reason(status))"
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 304: " (Not Modified)"
        case 400: " (Bad Request)"
        case 401: " (Unauthorized)"
        case 403: " (Forbidden)"
        case 404: " (Not Found)"
        case 405: " (Method Not Allowed)"
        case 407: " (Proxy Authentication Required)"
        case 408: " (Request Timeout)"
        case 410: " (Gone)"
        case 429: " (Too Many Requests)"
        case 451: " (Unavailable For Legal Reasons)"
        case 500: " (Internal Server Error)"
        case 502: " (Bad Gateway)"
        case 503: " (Service Unavailable)"
        case 504: " (Gateway Timeout)"
        default: ""
        }
    }
}
