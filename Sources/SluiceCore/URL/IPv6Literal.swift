internal import Glibc

/// IPv6 addresses in hosts (RFC 3986 §3.2.2, RFC 4291 §2.2).
enum IPv6Literal {
    /// The longest text of an address, in bytes (INET6_ADDRSTRLEN without its NUL).
    private static let maximumLength = 45

    /// The address as inet_ntop(3) writes it, which is the canonical form (RFC 5952); nil if the text is not an
    /// address.
    ///
    /// - Parameter text: without the brackets. It must not have a zone (`%eth0`).
    static func canonical(_ text: some Collection<UInt8>) -> String? {
        // inet_pton(3) gets no NUL, and no character that a later version might interpret.
        guard text.count <= maximumLength,
            text.allSatisfy({ $0.isHexDigit || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
        else { return nil }
        var address = in6_addr()
        guard inet_pton(AF_INET6, String(decoding: text, as: UTF8.self), &address) == 1 else { return nil }
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(AF_INET6, &address, &buffer, socklen_t(buffer.count)) != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
