public import SluiceInterface

/// How the end of a body is told from a broken connection (RFC 9112 §6.3).
public enum BodyFraming: String, Sendable, Codable, Equatable {
    /// By its announced length.
    case length
    /// By the chunked coding's last chunk.
    case chunked
    /// By nothing that the header says: by the connection's close, or by the end of an HTTP/2 stream.
    case unannounced
    /// There is none.
    case none
}

/// What the head of a final response means for its job (RFC 9110 §15).
public enum ResponseDecision: Sendable, Equatable {
    /// The body that follows is the one that was asked for.
    case accept(length: Int?, framing: BodyFraming)
    /// None of what follows may reach the consumer.
    case refuse(OutcomeCode, String)
}

/// The rules for taking a body, decided on the head alone, before a byte of the body is seen.
public enum ResponseRules {
    /// No body is as long, in bytes: 64 PiB. Sums of many that are shorter still fit.
    public static let longestBody = 1 << 56

    /// A coding of the content, or one of the transfer beside `chunked` (RFC 9112 §7). Both are taken off before the bytes
    /// come to us, and a coded body that was cut looks whole afterwards.
    static func foreignCoding(_ field: (String) -> String?) -> String? {
        if let coding = field("content-encoding").fieldValue?.lowercased(), coding != "identity" {
            return coding
        }
        let transfer = field("transfer-encoding").fieldValue?.lowercased() ?? ""
        return transfer.split(separator: ",").compactMap { Optional(String($0)).fieldValue }
            .first { $0 != "chunked" && $0 != "identity" }
    }

    /// Judges a response to a request for a whole representation.
    ///
    /// - Parameters:
    ///   - status: of the response.
    ///   - field: looks a field up by its name in lower case.
    ///   - maximumSize: the largest body that the job allows, in bytes.
    public static func judge(status: Int, field: (String) -> String?, maximumSize: Int?)
        -> ResponseDecision
    {
        guard (200...299).contains(status) else {
            return .refuse(.httpStatus, sentence(status: status))
        }
        guard status != 206 else {
            return .refuse(.unexpectedPartial, "the server answered 206, but no range was asked for")
        }
        if let coding = foreignCoding(field) {
            return .refuse(.contentEncoded, "the body is encoded as \(RequestURL.quote(coding))")
        }
        if status == 204 { return .accept(length: 0, framing: .none) }
        if let transfer = field("transfer-encoding") {
            // A Content-Length beside it does not count (RFC 9112 §6.3, case 3).
            let isChunked = transfer.lowercased().split(separator: ",").last?.contains("chunked") == true
            return .accept(length: nil, framing: isChunked ? .chunked : .unannounced)
        }
        guard let announced = field("content-length") else {
            return .accept(length: nil, framing: .unannounced)
        }
        guard let length = Int(announced), (0..<longestBody).contains(length) else {
            return .refuse(.protocolError, "the Content-Length is \(RequestURL.quote(announced))")
        }
        if let maximumSize, length > maximumSize {
            return .refuse(.tooLarge, "the body has \(length) bytes; the job allows \(maximumSize)")
        }
        return .accept(length: length, framing: .length)
    }

    /// What a body that has ended without an error amounts to.
    ///
    /// - Parameter endIsProven: something other than the header showed that the body did not end with the connection.
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

    /// What is said about a status that is not taken.
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
