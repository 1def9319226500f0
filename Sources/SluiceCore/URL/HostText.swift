/// The authority of a URL: host and port, checked, as they are sent (RFC 3986 §3.2).
struct HostText {
    /// Who wrote the URL.
    enum Source {
        /// A caller: a host that is not in its plain form is refused, and the remedy names that form.
        case caller
        /// A server, in a redirect: a host that browsers understand is converted to its plain form.
        case server
    }

    /// The longest name, in bytes (RFC 1035 §2.3.4).
    static let maximumLength = 253

    /// A name in ASCII, an IPv4 address in plain dotted decimal, or an IPv6 address in its brackets. Letters keep their
    /// case.
    let host: String
    /// The colon and the port, as written; empty if there is none.
    let portText: String
    /// The port; nil if none is named.
    let port: Int?

    /// Checks an authority without user information.
    ///
    /// - Throws: `RequestError` about the parameter `url`.
    init(_ authority: ArraySlice<UInt8>, from source: Source) throws(RequestError) {
        let behind: ArraySlice<UInt8>
        if authority.first == UInt8(ascii: "[") {
            (host, behind) = try Self.address(authority, source)
        } else {
            let name = authority.prefix { $0 != UInt8(ascii: ":") }
            host = try Self.name(name, source)
            behind = authority[name.endIndex...]
        }
        portText = String(decoding: behind, as: UTF8.self)
        port = try Self.port(behind.dropFirst())
    }

    static func isNameByte(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "-._".utf8.contains(byte)
    }

    private static func refuse(_ reason: String, _ remedy: String) -> RequestError {
        RequestError(parameter: "url", reason: reason, remedy: remedy)
    }

    // MARK: Addresses in brackets

    private static func address(_ authority: ArraySlice<UInt8>, _ source: Source) throws(RequestError) -> (
        host: String, behind: ArraySlice<UInt8>
    ) {
        let inside = authority.dropFirst().prefix { $0 != UInt8(ascii: "]") }
        let behind = authority[inside.endIndex...].dropFirst()
        let shown = RequestURL.quote(String(decoding: authority, as: UTF8.self))
        let zone = inside.firstIndex(of: UInt8(ascii: "%"))
        guard let canonical = IPv6Literal.canonical(inside[..<(zone ?? inside.endIndex)]) else {
            throw refuse("\(shown) is not an IPv6 address in brackets", "write one like [2001:db8::1]")
        }
        let host = "[\(canonical)]"
        guard inside.endIndex < authority.endIndex else {
            throw refuse("the bracket of \(shown) is not closed", "write \(host)")
        }
        guard zone == nil else {
            throw refuse(
                "\(shown) has a zone, which is valid on this machine only (RFC 6874)",
                "leave it out: write \(host)")
        }
        guard behind.isEmpty || behind.first == UInt8(ascii: ":") else {
            throw refuse("\(shown) has text behind its bracket that is not a port", "write \(host)")
        }
        guard source == .server || inside.elementsEqual(canonical.utf8) else {
            throw refuse("\(shown) is not the canonical form of its address (RFC 5952)", "write \(host)")
        }
        return (host, behind)
    }

    // MARK: Names, and addresses that look like some

    private static func name(_ written: ArraySlice<UInt8>, _ source: Source) throws(RequestError) -> String {
        let bytes = source == .server ? try percentDecoded(written) : Array(written)
        let host = bytes.allSatisfy { $0 < 0x80 } ? bytes : try ascii(bytes)
        guard !host.isEmpty else { throw refuse("it has no host", "write it as https://host/path") }
        guard host.count <= maximumLength else {
            throw refuse(
                "its host name is longer than \(maximumLength) bytes (RFC 1035 §2.3.4)", "check the host name"
            )
        }
        let text = String(decoding: host, as: UTF8.self)
        guard host.allSatisfy(isNameByte) else {
            throw refuse(
                "\(RequestURL.quote(text.lowercased())) is not a host name",
                "use letters, digits, hyphens and dots")
        }
        let labels = host.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard !labels.dropLast().contains(where: \.isEmpty) else {
            throw refuse(
                "\(RequestURL.quote(text.lowercased())) is not a host name",
                "leave out dots with nothing between them")
        }
        switch IPv4Literal(host) {
        case .name:
            return text
        case .address(let canonical):
            guard source == .server || canonical.utf8.elementsEqual(written) else {
                throw refuse(
                    "\(RequestURL.quote(String(decoding: written, as: UTF8.self))) is an IPv4 address in an odd form",
                    "write \(canonical)")
            }
            return canonical
        case .impossible:
            throw refuse(
                "\(RequestURL.quote(text)) looks like an IPv4 address but is not one",
                "write four numbers from 0 to 255")
        }
    }

    private static func ascii(_ bytes: [UInt8]) throws(RequestError) -> [UInt8] {
        guard let name = String(validating: bytes, as: UTF8.self) else {
            throw refuse("its host is not UTF-8", "write the host name in its xn-- form")
        }
        guard let ascii = InternationalName.ascii(name) else {
            throw refuse(
                "\(RequestURL.quote(name)) is not a host name (RFC 5890)",
                "check it, or write the host name in its xn-- form")
        }
        return Array(ascii.utf8)
    }

    /// Browsers decode the host of a redirect before they look at it.
    private static func percentDecoded(_ bytes: ArraySlice<UInt8>) throws(RequestError) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(bytes.count)
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else {
                throw refuse(
                    "\(RequestURL.quote(String(decoding: bytes, as: UTF8.self))) is not a host name",
                    "use letters, digits, hyphens and dots")
            }
            decoded.append(high << 4 | low)
        }
        return decoded
    }

    // MARK: Ports

    private static func port(_ digits: ArraySlice<UInt8>) throws(RequestError) -> Int? {
        guard !digits.isEmpty else { return nil }
        guard let port = Int(digits: digits, atMost: 65535), port > 0 else {
            throw refuse(
                "the port \(RequestURL.quote(String(decoding: digits, as: UTF8.self))) is not between 1 and 65535",
                "check the port")
        }
        return port
    }
}
