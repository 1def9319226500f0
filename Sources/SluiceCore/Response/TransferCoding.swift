internal import SluiceInterface

/// What the field Transfer-Encoding says (RFC 9112 §6.1, §7). A transfer coding belongs to the message and not to the
/// body. libcurl removes the codings that it knows before the lane gets the bytes, and a coded body that was cut off
/// then looks whole. Only `chunked` is therefore accepted, because it marks its own end.
enum TransferCoding: Equatable {
    /// There is none: no field, an empty one, or `identity`, which old servers send.
    case none
    /// `chunked`, and nothing else.
    case chunked
    /// Another coding, or a malformed field.
    case refused(OutcomeCode, String)

    /// - Parameter value: the value of the field; nil if there is none.
    init(_ value: String?) {
        guard let value = value.fieldValue else {
            self = .none
            return
        }
        let shown = RequestURL.quote(value)
        guard let lowercased = value.asciiLowercased else {
            self = .refused(.protocolError, "the Transfer-Encoding is \(shown)")
            return
        }
        let codings = lowercased.listElements.filter { !$0.isEmpty && $0 != "identity" }
        if let foreign = codings.first(where: { $0 != "chunked" }) {
            // A coding may have parameters; `chunked` has none.
            let name = String(Substring(foreign.utf8.prefix { $0 != UInt8(ascii: ";") }.trimmingBlanks))
            self =
                name.isToken && name != "chunked"
                ? .refused(.contentEncoded, "the transfer is encoded as \(shown)")
                : .refused(.protocolError, "the Transfer-Encoding is \(shown)")
        } else {
            // `chunked` must not be applied more than once (§6.1). A second mention, most likely by a proxy, means the
            // same.
            self = codings.isEmpty ? .none : .chunked
        }
    }
}
