/// The cookies that the redirects of one job have set (RFC 6265). They are sent to the hosts that they are for, in
/// requests of this job only.
///
/// A server may set cookies for its own host, and for the domains above it that have a dot in them. There is no list of
/// public suffixes here: only the hosts in the same chain of redirects can receive such a cookie.
///
/// The size of the jar is bounded. The time to store a field grows with its length and the number of cookies.
public struct CookieJar: Sendable, Equatable {
    /// Maximum number of cookies; the oldest one makes room.
    public static let maximumCount = 50
    /// The longest cookie, name and value together, in bytes (RFC 6265 §6.1).
    public static let maximumCookieBytes = 4 * 1024
    /// The largest size of all names, values and paths together, in bytes: many servers refuse longer fields. The
    /// oldest cookies make room.
    public static let maximumBytes = 8 * 1024
    /// The longest field Set-Cookie that is read, in bytes.
    public static let maximumFieldBytes = 8 * 1024

    private struct Cookie: Equatable {
        let name: [UInt8]
        let value: [UInt8]
        let domain: String
        /// True if the cookie is for its domain alone, not for hosts below it.
        let isHostOnly: Bool
        let path: [UInt8]
        let isSecure: Bool
        /// When the cookie expires, in seconds since 1970; nil for the end of the job.
        let expires: Int?

        var byteCount: Int { name.count + value.count + path.count }

        func hasPlace(of other: Cookie) -> Bool {
            name == other.name && domain == other.domain && isHostOnly == other.isHostOnly
                && path == other.path
        }

        func isSent(to url: RequestURL, path requestPath: [UInt8], now: Int) -> Bool {
            let host = url.origin.host
            return (isHostOnly ? host == domain : CookieJar.isHost(host, within: domain))
                && CookieJar.isPath(requestPath, within: path) && (url.origin.isSecure || !isSecure)
                && !isOver(now: now)
        }

        func isOver(now: Int) -> Bool { expires.map { $0 <= now } ?? false }
    }

    /// The cookies in the order of their creation.
    private var cookies: [Cookie] = []
    /// The size of all cookies together.
    private var byteCount = 0

    /// An empty jar.
    public init() {}

    /// Whether there are none.
    public var isEmpty: Bool { cookies.isEmpty }

    // MARK: Storing

    /// Stores the cookies that a response sets (RFC 6265 §5.3). Cookies that it may not set are ignored.
    ///
    /// - Parameters:
    ///   - setCookie: the value of each Set-Cookie field. They cannot be joined: dates have commas.
    ///   - url: where the response came from.
    ///   - now: in seconds since 1970.
    public mutating func store(_ setCookie: [String], from url: RequestURL, now: Int) {
        cookies.removeAll { $0.isOver(now: now) }
        byteCount = cookies.reduce(0) { $0 + $1.byteCount }
        for text in setCookie where text.utf8.count <= Self.maximumFieldBytes {
            guard let field = SetCookie(text, now: now), let cookie = Self.cookie(field, from: url) else {
                continue
            }
            insert(cookie, from: url, now: now)
        }
    }

    private static func cookie(_ field: SetCookie, from url: RequestURL) -> Cookie? {
        guard field.name.count + field.value.count <= maximumCookieBytes,
            hasRightPrefix(field), url.origin.isSecure || !field.isSecure
        else { return nil }
        let host = url.origin.host
        var isHostOnly = true
        if let domain = field.domain, domain != host {
            guard isHost(host, within: domain), hasInnerDot(domain) else { return nil }
            isHostOnly = false
        } else if field.domain != nil {
            isHostOnly = url.origin.isAddress || !hasInnerDot(host)
        }
        return Cookie(
            name: field.name, value: field.value, domain: isHostOnly ? host : field.domain ?? host,
            isHostOnly: isHostOnly, path: field.path ?? defaultPath(url), isSecure: field.isSecure,
            expires: field.expires)
    }

    /// Checks the promises of the prefixes `__Secure-` and `__Host-` (RFC 6265bis §4.1.3): the cookie is secure, and
    /// with `__Host-` for one host alone.
    private static func hasRightPrefix(_ field: SetCookie) -> Bool {
        func begins(with prefix: String) -> Bool {
            field.name.prefix(prefix.utf8.count).map(\.lowercased).elementsEqual(prefix.utf8)
        }
        if begins(with: "__host-") {
            return field.isSecure && field.domain == nil && field.path == [UInt8(ascii: "/")]
        }
        return field.isSecure || !begins(with: "__secure-")
    }

    private mutating func insert(_ cookie: Cookie, from url: RequestURL, now: Int) {
        // An attacker who can change an http response must not replace a cookie that an https response has set (RFC
        // 6265bis §5.6).
        let isGuarded =
            !url.origin.isSecure
            && cookies.contains { other in
                other.isSecure && other.name == cookie.name && Self.isPath(cookie.path, within: other.path)
                    && (Self.isHost(cookie.domain, within: other.domain)
                        || Self.isHost(other.domain, within: cookie.domain))
            }
        if isGuarded { return }
        let place = cookies.firstIndex { $0.hasPlace(of: cookie) }
        if let place { byteCount -= cookies[place].byteCount }
        guard !cookie.isOver(now: now) else {
            if let place { cookies.remove(at: place) }
            return
        }
        byteCount += cookie.byteCount
        // A cookie that is replaced keeps its age, and so its place in the field.
        if let place { cookies[place] = cookie } else { cookies.append(cookie) }
        while cookies.count > Self.maximumCount || byteCount > Self.maximumBytes {
            byteCount -= cookies.removeFirst().byteCount
        }
    }

    // MARK: Sending

    /// The value of the field Cookie for a request; nil if no cookie is for it (RFC 6265 §5.4).
    ///
    /// - Parameters:
    ///   - url: the URL of the request.
    ///   - now: in seconds since 1970.
    public func header(for url: RequestURL, now: Int) -> String? {
        let sent = cookies(for: url, now: now)
        return sent.isEmpty ? nil : Self.text(sent)
    }

    /// Does the same for a request for which the caller has set a Cookie field.
    ///
    /// The caller's cookies come first. A cookie that a redirect has set replaces the caller's cookie of the same name:
    /// the server asked for that, and may redirect a client that ignores it endlessly.
    ///
    /// - Parameters:
    ///   - url: the URL of the request.
    ///   - now: in seconds since 1970.
    ///   - own: the value of the caller's field, if it is sent (`CredentialRules`).
    public func header(for url: RequestURL, now: Int, merging own: String?) -> String? {
        let sent = cookies(for: url, now: now)
        guard let own, !sent.isEmpty else { return own ?? (sent.isEmpty ? nil : Self.text(sent)) }
        let names = Set(sent.map(\.name))
        let kept = own.utf8.split(separator: UInt8(ascii: ";")).map(\.trimmingBlanks).filter { pair in
            let name = pair.prefix { $0 != UInt8(ascii: "=") }.trimmingBlanks
            return !pair.isEmpty && !names.contains(Array(name))
        }
        return (kept.map { String(Substring($0)) } + [Self.text(sent)]).joined(separator: "; ")
    }

    private func cookies(for url: RequestURL, now: Int) -> [Cookie] {
        let path = Array(url.path.utf8)
        let sent = cookies.enumerated().filter { $0.element.isSent(to: url, path: path, now: now) }
        // The longest path first, then the oldest.
        return sent.sorted {
            ($1.element.path.count, $0.offset) < ($0.element.path.count, $1.offset)
        }.map(\.element)
    }

    private static func text(_ cookies: [Cookie]) -> String {
        let pairs = cookies.map { $0.name + [UInt8(ascii: "=")] + $0.value }
        return String(decoding: Array(pairs.joined(separator: "; ".utf8)), as: UTF8.self)
    }

    // MARK: Where a cookie belongs

    /// Domain-match (RFC 6265 §5.1.3) of texts in ASCII and lower case. An address is within no other domain.
    private static func isHost(_ host: String, within domain: String) -> Bool {
        if host == domain { return true }
        return host.hasSuffix("." + domain) && host.utf8.first != UInt8(ascii: "[")
            && IPv4Literal(host.utf8) == .name
    }

    /// Path-match (RFC 6265 §5.1.4).
    private static func isPath(_ path: [UInt8], within other: [UInt8]) -> Bool {
        path.starts(with: other)
            && (path.count == other.count || other.last == UInt8(ascii: "/")
                || path[other.count] == UInt8(ascii: "/"))
    }

    /// RFC 6265 §5.1.4: the part of the path before the last slash.
    private static func defaultPath(_ url: RequestURL) -> [UInt8] {
        let path = Array(url.path.utf8)
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else { return [UInt8(ascii: "/")] }
        return Array(path[..<slash])
    }

    private static func hasInnerDot(_ domain: String) -> Bool {
        domain.utf8.dropFirst().dropLast().contains(UInt8(ascii: "."))
    }
}
