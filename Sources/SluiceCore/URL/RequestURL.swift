/// An absolute http or https URL that may be handed to a lane (RFC 3986, RFC 9110 §4.2).
///
/// The URL is checked here, strictly by RFC 3986, and not by the libraries that use it later: they repair, drop or trap
/// on malformed input, and two of them may read different hosts in one URL. Two things are corrected rather than
/// refused, because people write URLs that way: letters beyond ASCII in the host become its xn-- form, and the slash
/// behind the host is added if it is missing.
public struct RequestURL: Sendable, Equatable {
    /// The longest URL that is accepted, in bytes. libcurl's own limit is larger; a URL that exceeds it stops the
    /// process.
    public static let maximumLength = 8 * 1024

    /// The URL in ASCII, without its fragment, which is not sent.
    public let text: String
    /// The origin, which decides whose connections a request may share.
    public let origin: Origin
    /// The URL for logs and lists.
    public var redacted: String { Self.redactQuery(text) }

    /// Checks a URL.
    ///
    /// IPv6 addresses are taken in their canonical form (RFC 5952), IPv4 addresses in plain dotted decimal.
    ///
    /// - Throws: `RequestError` about the parameter `url`.
    public init(_ text: String) throws(RequestError) {
        guard text.utf8.count <= Self.maximumLength else { throw Self.tooLong(text.utf8.count, "") }
        let bytes = Array(text.utf8)
        let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        let start = colon.flatMap { bytes[$0...].starts(with: "://".utf8) ? $0 + 3 : nil }
        let authority =
            bytes[(start ?? bytes.endIndex)...].prefix { !"/?#".utf8.contains($0) }
        try Self.checkCharacters(text, bytes, host: authority.indices)
        guard let colon, start != nil else {
            // The text is not quoted: it may contain a secret, and this message goes to the log.
            throw Self.refuse("it is not an absolute URL", "write it as https://host/path")
        }
        let scheme = String(decoding: bytes[..<colon].map(\.lowercased), as: UTF8.self)
        guard scheme == "http" || scheme == "https" else {
            throw Self.refuse(
                "the scheme \(Self.quote(scheme)) is not http or https", "fetch it another way")
        }
        guard !authority.contains(UInt8(ascii: "@")) else {
            throw Self.refuse(
                "it contains a user name or password",
                "leave them out and send an Authorization header instead")
        }
        let host = try HostText(authority, from: .caller)
        let rest = bytes[authority.endIndex...].prefix { $0 != UInt8(ascii: "#") }
        guard !rest.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) else {
            throw Self.refuse("it contains [ or ] outside of the host (RFC 3986 §3.3)", "write %5B and %5D")
        }
        origin = Origin(
            isSecure: scheme == "https", host: host.host.lowercased(),
            port: host.port ?? (scheme == "https" ? 443 : 80))
        let slash = rest.first == UInt8(ascii: "/") ? "" : "/"
        self.text =
            scheme + "://" + host.host + host.portText + slash + String(decoding: rest, as: UTF8.self)
        // The limit includes what was added: a URL that is sent and stored must be accepted again.
        guard self.text.utf8.count <= Self.maximumLength else {
            throw Self.tooLong(self.text.utf8.count, " with the / behind its host")
        }
    }

    /// The path, from the host to the query; never empty.
    var path: Substring {
        let behindScheme = text.utf8.dropFirst(origin.isSecure ? 8 : 7)
        return Substring(
            behindScheme.drop { $0 != UInt8(ascii: "/") }.prefix { $0 != UInt8(ascii: "?") })
    }

    /// At most 60 characters of a text, in quotation marks. Invisible characters are replaced, because the text is
    /// untrusted and goes to terminals and logs.
    static func quote(_ text: some StringProtocol) -> String {
        var shown = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < 60 else { return "“\(String(shown))…”" }
            shown.append(isVisible(scalar) ? scalar : "?")
            count += 1
        }
        return "“\(String(shown))”"
    }

    private static func isVisible(_ scalar: UnicodeScalar) -> Bool {
        if scalar.isASCII { return (0x20...0x7e).contains(scalar.value) }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
            false
        default: true
        }
    }

    // MARK: Checks

    static func refuse(_ reason: String, _ remedy: String) -> RequestError {
        RequestError(parameter: "url", reason: reason, remedy: remedy)
    }

    private static func tooLong(_ count: Int, _ how: String) -> RequestError {
        refuse("it has \(count) bytes\(how)", "URLs may have at most \(maximumLength) bytes")
    }

    /// Every character must be one that a URL may contain. Non-ASCII letters in the host are an exception, because the
    /// host is checked separately.
    private static func checkCharacters(_ text: String, _ bytes: [UInt8], host: Range<Int>)
        throws(RequestError)
    {
        for (index, byte) in bytes.enumerated() {
            if byte >= 0x80 {
                if host.contains(index) { continue }
            } else if byte == UInt8(ascii: "%") {
                let digits = bytes[(index + 1)...].prefix(2)
                guard digits.count == 2, digits.allSatisfy(\.isHexDigit) else {
                    throw refuse(
                        "a % is not followed by two hexadecimal digits",
                        "write %25 for the character % itself")
                }
                continue
            } else if isAllowed(byte) {
                continue
            }
            let bad = text.unicodeScalars[text.utf8.index(text.startIndex, offsetBy: index)]
            throw refuse(
                "it contains \(describe(bad)), which a URL must not contain (RFC 3986 §2)",
                byte >= 0x80 ? "percent-encode its UTF-8" : "percent-encode it")
        }
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "-._~:/?#[]@!$&'()*+,;=%".utf8.contains(byte)
    }

    private static func describe(_ scalar: UnicodeScalar) -> String {
        switch scalar {
        case " ": "a space"
        case "\r": "a carriage return"
        case "\n": "a line feed"
        case "\0": "a NUL"
        case let other where other.value < 0x20 || other.value == 0x7f: "a control character"
        case let other: quote(String(other))
        }
    }

    /// Keeps the names in a query and hides the values, because they may be secrets.
    private static func redactQuery(_ url: String) -> String {
        guard let mark = url.utf8.firstIndex(of: UInt8(ascii: "?")) else { return url }
        let fields = url[url.utf8.index(after: mark)...].split(
            separator: "&", omittingEmptySubsequences: false)
        let blanked = fields.map { field in
            guard let equals = field.firstIndex(of: "=") else { return field.isEmpty ? "" : "…" }
            return field[...equals] + "…"
        }
        return url[...mark] + blanked.joined(separator: "&")
    }
}

/// Scheme, host and port: the unit that may share connections, cookies and secrets (RFC 6454 §4).
public struct Origin: Sendable, Hashable, Codable, CustomStringConvertible {
    /// True for https.
    public let isSecure: Bool
    /// The host in lower case; an IPv6 address with its brackets, as in a URL.
    public let host: String
    /// The port; the scheme's default if the URL names none.
    public let port: Int

    /// `https://host:443`
    public var description: String {
        "\(isSecure ? "https" : "http")://\(host):\(port)"
    }

    /// Whether the host is an address, not a name.
    public var isAddress: Bool {
        host.utf8.first == UInt8(ascii: "[") || IPv4Literal(host.utf8) != .name
    }
}
