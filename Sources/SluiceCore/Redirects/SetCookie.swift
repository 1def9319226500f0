/// The field Set-Cookie, parsed (RFC 6265 §5.2). It is kept as bytes, because a cookie is sent back as it came.
struct SetCookie {
    /// The longest value of an attribute, in bytes. An attribute with a longer value is ignored.
    static let maximumAttributeBytes = 1024

    var name: [UInt8]
    var value: [UInt8]
    /// When the cookie expires, in seconds since 1970.
    var expires: Int?
    /// The domain in lower case, without the dot in front.
    var domain: String?
    var path: [UInt8]?
    var isSecure = false

    /// - Parameter now: in seconds since 1970.
    /// - Returns: nil for a cookie without a name, one with control or damaged characters, and one whose Domain is not
    ///   a name.
    init?(_ text: String, now: Int) {
        let bytes = Array(text.utf8)
        // A cookie is sent back, and a field must not contain these bytes. Text that was not UTF-8 cannot be sent as it
        // came.
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 0x09 }),
            !text.unicodeScalars.contains("\u{fffd}")
        else { return nil }
        var parts = bytes.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)[...]
        guard let pair = parts.popFirst(), let equals = pair.firstIndex(of: UInt8(ascii: "=")) else {
            return nil
        }
        name = Array(Self.trimmed(pair[..<equals]))
        value = Array(Self.trimmed(pair[(equals + 1)...]))
        guard !name.isEmpty, !name.contains(0x09), !value.contains(0x09) else { return nil }
        var age: Int?
        for part in parts {
            let mark = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let attribute = Self.trimmed(part[..<mark]).map(\.lowercased)
            let value = Self.trimmed(part[mark...].dropFirst())
            guard value.count <= Self.maximumAttributeBytes else { continue }
            switch String(decoding: attribute.prefix(8), as: UTF8.self) {
            case "expires": expires = CookieDate.parse(value) ?? expires
            case "max-age": age = Self.seconds(value) ?? age
            case "domain" where !value.isEmpty:
                guard let domain = Self.domain(value) else { return nil }
                self.domain = domain
            case "path": path = value.first == UInt8(ascii: "/") ? Array(value) : nil
            case "secure": isSecure = true
            default: break
            }
        }
        if let age {
            expires = age <= 0 ? .min : now.addingSaturated(age)
        }
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isText: (UInt8) -> Bool = { $0 != 0x20 && $0 != 0x09 }
        guard let first = bytes.firstIndex(where: isText), let last = bytes.lastIndex(where: isText) else {
            return []
        }
        return bytes[first...last]
    }

    /// Max-Age: digits, with or without a minus sign (RFC 6265 §5.2.2). A number that is too large means that the
    /// cookie never expires.
    private static func seconds(_ value: ArraySlice<UInt8>) -> Int? {
        let isNegative = value.first == UInt8(ascii: "-")
        let digits = isNegative ? value.dropFirst() : value
        guard !digits.isEmpty || isNegative, digits.allSatisfy(\.isDigit) else { return nil }
        return isNegative ? -1 : Int(digits: digits, atMost: .max) ?? .max
    }

    private static func domain(_ value: ArraySlice<UInt8>) -> String? {
        let name = value.first == UInt8(ascii: ".") ? value.dropFirst() : value
        if name.allSatisfy({ $0 < 0x80 }) {
            return String(decoding: name.map(\.lowercased), as: UTF8.self)
        }
        return InternationalName.ascii(String(decoding: name, as: UTF8.self))
    }
}
