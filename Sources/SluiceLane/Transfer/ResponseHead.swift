internal import CCurlShim
internal import FoundationNetworking

/// The head of a response. It is valid only during the callback of URLSession that reports the response.
enum ResponseHead {
    /// The head as the server sent it.
    case received
    /// The head as Foundation shows it if the shim has no effect: repeated fields are joined, malformed ones are
    /// missing.
    case shown(HTTPURLResponse)

    /// The head of a response of URLSession.
    init(_ response: HTTPURLResponse) {
        self = ccurlshim_has_head() ? .received : .shown(response)
    }

    /// The status code.
    var status: Int {
        switch self {
        case .received: Int(ccurlshim_status())
        case .shown(let response): response.statusCode
        }
    }

    /// Whether the body comes as the server sent it. Without the shim, Foundation removes content codings.
    var isExact: Bool {
        if case .received = self { true } else { false }
    }

    /// The values of all fields of this name, in order, byte for byte.
    func bytes(_ name: String) -> [[UInt8]] {
        guard case .received = self else { return field(name).map { [Array($0.utf8)] } ?? [] }
        var values: [[UInt8]] = []
        while true {
            let text = ccurlshim_field(name, values.count)
            guard let bytes = text.bytes else { return values }
            values.append(Array(UnsafeRawBufferPointer(start: bytes, count: text.length)))
        }
    }

    /// The values of all fields of this name, in order.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, which is valid in none of the fields that the lane reads.
    func values(_ name: String) -> [String] {
        bytes(name).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The value of a field; those of repeated ones are joined by commas (RFC 9110 §5.3).
    func field(_ name: String) -> String? {
        switch self {
        case .received:
            let values = values(name)
            return values.isEmpty ? nil : values.joined(separator: ", ")
        case .shown(let response):
            return response.value(forHTTPHeaderField: name)
        }
    }
}
