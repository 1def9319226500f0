internal import SluiceInterface

/// What the field Transfer-Encoding says (RFC 9112 §6.1, §7). A transfer coding is of the message and no part of the
/// body: libcurl takes off the ones that it knows before the bytes come to us, and a coded body that was cut looks whole
/// afterwards. So only `chunked` is taken, which shows its own end.
enum TransferCoding: Equatable {
    /// There is none: no field, an empty one, or `identity`, which servers of long ago send.
    case none
    /// `chunked`, and nothing else.
    case chunked
    /// Another one, or one that makes no sense.
    case refused(OutcomeCode, String)

    /// - Parameter value: of the field; nil where there is none.
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
            // It must not be applied more than once (§6.1), so a second mention, by a proxy most likely, means the same.
            self = codings.isEmpty ? .none : .chunked
        }
    }
}
