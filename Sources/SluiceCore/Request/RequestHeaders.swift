public import SluiceInterface

/// The caller's fields of a request, checked (RFC 9110 §5).
public struct RequestHeaders: Sendable, Equatable {
    /// Maximum number of fields in a request.
    public static let maximumCount = 64
    /// Maximum size of all names and values together, in bytes.
    public static let maximumBytes = 16 * 1024

    /// Fields that only the lane may set: those of the connection, of the body's framing, of ranges and of encodings.
    private static let forbidden: Set<String> = [
        "accept-encoding", "connection", "content-length", "expect", "host", "if-range", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "te", "trailer",
        "transfer-encoding", "upgrade",
    ]

    /// The fields, as given.
    public let fields: [HeaderField]

    /// Checks the fields.
    ///
    /// - Throws: `RequestError` about the parameter `headers`.
    public init(_ fields: [HeaderField]) throws(RequestError) {
        func refuse(_ reason: String, _ remedy: String) -> RequestError {
            RequestError(parameter: "headers", reason: reason, remedy: remedy)
        }
        guard fields.count <= Self.maximumCount else {
            throw refuse("there are \(fields.count) of them", "send at most \(Self.maximumCount)")
        }
        let bytes = fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
        guard bytes <= Self.maximumBytes else {
            throw refuse("they have \(bytes) bytes", "send at most \(Self.maximumBytes)")
        }
        var seen: Set<String> = []
        for field in fields {
            guard field.name.isToken else {
                throw refuse(
                    "\(RequestURL.quote(field.name)) is not a field name (RFC 9110 §5.1)",
                    "use letters, digits and hyphens")
            }
            guard !Self.forbidden.contains(field.name.lowercased()) else {
                throw refuse("\(field.name) cannot be set by the caller", "leave it out")
            }
            guard field.value.utf8.allSatisfy({ (0x20...0x7e).contains($0) || $0 == 0x09 }) else {
                throw refuse(
                    "the value of \(field.name) contains a control character, or one that is not ASCII",
                    "encode it: CR, LF and NUL would end the field")
            }
            // Foundation keeps one value for each name, so a second one would be lost silently.
            guard seen.insert(field.name.lowercased()).inserted else {
                throw refuse("\(field.name) is there twice", "join the values with a comma (RFC 9110 §5.3)")
            }
        }
        self.fields = fields
    }
}
