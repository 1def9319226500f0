/// The target of a redirect (RFC 9110 §10.2.2), as servers write it: with blanks, non-ASCII letters, brackets and
/// percent signs where RFC 3986 allows none. Browsers repair that (WHATWG URL), so servers do not notice. This type
/// converts the value to a reference that RFC 3986 allows.
///
/// The host is never guessed: an error in the part that decides about it is refused, unless it is one of the few that
/// browsers and curl repair in the same way. A backslash in that part is refused, because they read it differently. In
/// a path it is percent-encoded, as the character that the server wrote.
struct LocationField {
    /// The reference, in ASCII, without its fragment.
    let reference: String

    /// Repairs the value of a response's Location.
    ///
    /// - Parameter values: the values of all Location fields, as they came. Empty ones are ignored.
    /// - Throws: `RequestError` about the parameter `Location`, or about `url` for a host that is wrong.
    init(_ values: [[UInt8]]) throws(RequestError) {
        let value = try Self.single(values).prefix { $0 != UInt8(ascii: "#") }
        guard value.count <= RequestURL.maximumLength else {
            throw Self.refuse(
                "its Location has \(value.count) bytes",
                "URLs may have at most \(RequestURL.maximumLength) bytes")
        }
        guard String(validating: value, as: UTF8.self) != nil else {
            throw Self.refuse("its Location is not UTF-8", "report it to the server's owner")
        }
        var rest = value
        var text = ""
        if let scheme = Self.scheme(value) {
            text = String(decoding: scheme.map(\.lowercased), as: UTF8.self)
            guard text == "http" || text == "https" else {
                throw Self.refuse(
                    "the scheme \(RequestURL.quote(text)) is not http or https", "fetch it another way")
            }
            text += ":"
            rest = rest[scheme.endIndex...].dropFirst()
        }
        if rest.starts(with: "//".utf8) {
            // curl and browsers agree that additional slashes mean the same.
            rest = rest.drop { $0 == UInt8(ascii: "/") }
            let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            let host = try HostText(Self.withoutUser(authority), from: .server)
            text += "//" + host.host + host.portText
            rest = rest[authority.endIndex...]
        }
        reference = text + Self.encoded(rest)
    }

    private static func refuse(_ reason: String, _ remedy: String) -> RequestError {
        RequestError(parameter: "Location", reason: reason, remedy: remedy)
    }

    /// The only value, without the blanks around it, and without the tabs, carriage returns and line feeds in it.
    private static func single(_ values: [[UInt8]]) throws(RequestError) -> ArraySlice<UInt8> {
        var found: ArraySlice<UInt8>?
        for value in values {
            let cleaned = value.filter { $0 != 0x09 && $0 != 0x0a && $0 != 0x0d }
            guard let first = cleaned.firstIndex(where: { $0 > 0x20 }),
                let last = cleaned.lastIndex(where: { $0 > 0x20 })
            else { continue }
            if let found, found != cleaned[first...last] {
                throw refuse("it names two different targets", "report it to the server's owner")
            }
            found = cleaned[first...last]
        }
        guard let found else {
            throw refuse("it has no Location", "report it to the server's owner")
        }
        return found
    }

    private static func scheme(_ value: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let scheme = value.prefix { $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) }
        guard scheme.first?.isLetter == true, scheme.endIndex < value.endIndex,
            value[scheme.endIndex] == UInt8(ascii: ":")
        else { return nil }
        return scheme
    }

    /// Removes empty user information. Any other is refused: it is a secret, or makes one host look like another.
    private static func withoutUser(_ authority: ArraySlice<UInt8>) throws(RequestError) -> ArraySlice<UInt8>
    {
        guard let mark = authority.lastIndex(of: UInt8(ascii: "@")) else { return authority }
        let user = authority[..<mark]
        guard user.isEmpty || user.elementsEqual(":".utf8) else {
            throw refuse("its Location contains a user name or password", "fetch the target URL directly")
        }
        return authority[mark...].dropFirst()
    }

    /// Path and query, with every byte percent-encoded that RFC 3986 does not allow there.
    private static func encoded(_ bytes: ArraySlice<UInt8>) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(bytes.count)
        var isQuery = false
        for (index, byte) in zip(bytes.indices, bytes) {
            if byte == UInt8(ascii: "?"), !isQuery {
                isQuery = true
                encoded.append(byte)
                continue
            }
            let isStray =
                byte == UInt8(ascii: "%")
                ? !isEncoding(bytes[index...]) : !isPathByte(byte) && !(isQuery && byte == UInt8(ascii: "?"))
            if isStray {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                encoded.append(byte)
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }

    private static func isEncoding(_ bytes: ArraySlice<UInt8>) -> Bool {
        let digits = bytes.dropFirst().prefix(2)
        return digits.count == 2 && digits.allSatisfy(\.isHexDigit)
    }

    /// RFC 3986 §3.3: bytes that both a path and a query may contain, without the percent sign.
    private static func isPathByte(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "-._~!$&'()*+,;=:@/".utf8.contains(byte)
    }
}

extension RequestURL {
    /// The address of a redirect, resolved against this URL (RFC 3986 §5.2), or why it is not followed.
    ///
    /// - Parameters:
    ///   - locations: the values of all Location fields of the response, as they came. Equal values count once, empty
    ///     ones are ignored.
    ///   - allowingDowngrade: whether http may follow https.
    /// - Throws: `RequestError` if there is no Location, or its target is not a URL that may be fetched. The reason is
    ///   a sentence about the redirect (`it has no Location`), of at most a few hundred bytes.
    public func redirected(to locations: [[UInt8]], allowingDowngrade: Bool) throws(RequestError)
        -> RequestURL
    {
        let reference = try LocationField(locations).reference
        let target = try RequestURL(RelativeReference(reference).resolved(against: text))
        guard target.origin.isSecure || !origin.isSecure || allowingDowngrade else {
            throw RequestError(
                parameter: "Location",
                reason: "\(Self.quote(target.origin.description)) is not secure, and this origin is",
                remedy: "allow it (--allow-downgrade), or give the digest that the body must have (--digest)")
        }
        return target
    }

    /// Does the same for one Location. Only https may follow https.
    public func redirected(to location: String) throws(RequestError) -> RequestURL {
        try redirected(to: [Array(location.utf8)], allowingDowngrade: false)
    }
}
