/// An absolute http or https URL that may be handed to a lane (RFC 3986, RFC 9110 §4.2).
///
/// It is checked here, by the letter of RFC 3986, and not left to the libraries further on: they repair, drop or trap
/// on what they do not like.
public struct RequestURL: Sendable, Equatable {
    /// The longest that is accepted, in bytes. libcurl's own limit is larger, and passing it traps.
    public static let maximumLength = 8 * 1024

    /// The URL without its fragment, which is not sent.
    public let text: String
    /// Which connections it can share.
    public let origin: Origin
    /// The URL for logs and lists.
    public var redacted: String { Self.redactQuery(text) }

    /// Checks a URL.
    ///
    /// - Throws: `RequestError` about the parameter `url`.
    public init(_ text: String) throws(RequestError) {
        func refuse(_ reason: String, _ remedy: String) -> RequestError {
            RequestError(parameter: "url", reason: reason, remedy: remedy)
        }
        guard text.utf8.count <= Self.maximumLength else {
            throw refuse(
                "it has \(text.utf8.count) bytes", "URLs have at most \(Self.maximumLength) bytes here")
        }
        if let bad = text.unicodeScalars.first(where: { !Self.isAllowed($0) }) {
            throw refuse(
                "it contains \(Self.describe(bad)), which no URL may (RFC 3986 §2)",
                "percent-encode it, or write the host name in its xn-- form")
        }
        try Self.checkPercentEncoding(text)
        // All of it is ASCII from here on, so bytes are characters.
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")), text[colon...].hasPrefix("://") else {
            // Not quoted: what is no URL may well have a secret in it, and this goes to the log.
            throw refuse("it is not an absolute URL", "write it as https://host/path")
        }
        let scheme = text[..<colon].lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw refuse("the scheme \(Self.quote(scheme)) is not http or https", "fetch it another way")
        }
        let withoutFragment = Substring(text.utf8.prefix { $0 != UInt8(ascii: "#") })
        let afterScheme = withoutFragment[text.utf8.index(colon, offsetBy: 3)...]
        let authority = Substring(
            afterScheme.utf8.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") })
        let rest = afterScheme[authority.endIndex...]
        guard !authority.utf8.contains(UInt8(ascii: "@")) else {
            throw refuse(
                "it contains a user name or password",
                "leave them out and send an Authorization header instead")
        }
        guard !authority.hasPrefix("[") else {
            throw refuse(
                "IPv6 literals cannot be fetched (a limit of Foundation on Linux)",
                "use a host name that has this address")
        }
        let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let host = parts[0].lowercased()
        guard !host.isEmpty else { throw refuse("it has no host", "write it as https://host/path") }
        guard host.utf8.count <= 253 else {
            throw refuse("its host name is longer than 253 bytes (RFC 1035 §2.3.4)", "check the host name")
        }
        guard host.utf8.allSatisfy(Self.isHostByte) else {
            throw refuse(
                "\(Self.quote(host)) is not a host name", "use letters, digits, hyphens and dots")
        }
        var port = scheme == "https" ? 443 : 80
        if parts.count == 2, !parts[1].isEmpty {
            guard let number = Int(parts[1]), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                (1...65535).contains(number)
            else {
                throw refuse("the port \(Self.quote(parts[1])) is not between 1 and 65535", "check the port")
            }
            port = number
        }
        guard !rest.utf8.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) else {
            throw refuse("it contains [ or ] outside of the host (RFC 3986 §3.3)", "write %5B and %5D")
        }
        origin = Origin(isSecure: scheme == "https", host: host, port: port)
        let path = rest.isEmpty || rest.hasPrefix("?") ? "/" + rest : String(rest)
        self.text = scheme + "://" + authority + path
        // With the slash that may have been added: what is sent and stored has to be accepted again.
        guard self.text.utf8.count <= Self.maximumLength else {
            throw refuse(
                "it has \(self.text.utf8.count) bytes with the / behind its host",
                "URLs have at most \(Self.maximumLength) bytes here")
        }
    }

    /// The address of a redirect, resolved against this URL (RFC 3986 §5.2), or why it is not followed.
    ///
    /// - Throws: `RequestError` where the result is not a URL that may be fetched, or goes from https to http.
    public func redirected(to location: String) throws(RequestError) -> RequestURL {
        let target = try RequestURL(RelativeReference(Self.encodeStrays(location)).resolved(against: text))
        guard target.origin.isSecure || !origin.isSecure else {
            throw RequestError(
                parameter: "Location", reason: "\(target.redacted) is not secure, and this origin is",
                remedy: "fetch it yourself if that is what you want")
        }
        return target
    }

    static func quote(_ text: some StringProtocol) -> String {
        let printable = text.unicodeScalars.prefix(60).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }
        let shortened = String(String.UnicodeScalarView(printable))
        return "“\(shortened)\(text.unicodeScalars.count > 60 ? "…" : "")”"
    }

    private static func checkPercentEncoding(_ text: String) throws(RequestError) {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return }
        let bytes = Array(text.utf8)
        for (index, byte) in bytes.enumerated() where byte == UInt8(ascii: "%") {
            let digits = bytes[(index + 1)...].prefix(2)
            guard digits.count == 2, digits.allSatisfy(isHexDigit) else {
                throw RequestError(
                    parameter: "url", reason: "a % is not followed by two hexadecimal digits",
                    remedy: "write %25 for the character % itself")
            }
        }
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        Character(UnicodeScalar(byte)).isHexDigit
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func isAllowed(_ scalar: UnicodeScalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9": true
        case "-", ".", "_", "~", ":", "/", "?", "#", "[", "]", "@", "!", "$", "&", "'", "(", ")", "*", "+",
            ",", ";", "=", "%":
            true
        default: false
        }
    }

    private static func describe(_ scalar: UnicodeScalar) -> String {
        switch scalar {
        case " ": "a space"
        case "\r": "a carriage return"
        case "\n": "a line feed"
        case "\0": "a NUL"
        case let other where other.value < 0x20 || other.value == 0x7f: "a control character"
        case let other: "“\(other)”"
        }
    }

    /// Keeps the names in a query and blanks out the values: what is secret in a URL is there.
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

    /// Servers send spaces and letters of other alphabets in Location; every client encodes them.
    private static func encodeStrays(_ location: String) -> String {
        var encoded = ""
        for scalar in location.unicodeScalars {
            if isAllowed(scalar) {
                encoded.unicodeScalars.append(scalar)
            } else {
                for byte in String(scalar).utf8 {
                    encoded += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
                }
            }
        }
        return encoded
    }
}

/// Scheme, host and port: what may share connections, cookies and secrets (RFC 6454 §4).
public struct Origin: Sendable, Hashable, Codable, CustomStringConvertible {
    /// https.
    public let isSecure: Bool
    /// In lower case.
    public let host: String
    /// Never the absence of one.
    public let port: Int

    /// `https://host:443`
    public var description: String {
        "\(isSecure ? "https" : "http")://\(host):\(port)"
    }
}
