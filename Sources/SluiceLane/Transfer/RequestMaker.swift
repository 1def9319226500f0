internal import Foundation
internal import FoundationNetworking
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// Makes the requests of an order: their URLs and their fields.
struct RequestMaker: Sendable {
    let order: LaneOrder
    /// The URL of the first request: the one that the caller named, or the one that the delivered bytes came from.
    let url: RequestURL
    /// True if the caller's credentials are sent to that URL.
    let sendsCredentials: Bool
    /// The rules for where requests may connect to.
    let egress: EgressRules

    /// The maker for an order; nil if the order is contradictory.
    init?(_ order: LaneOrder) {
        self.order = order
        guard let egress = Self.rules(order.egress) else { return nil }
        self.egress = egress
        if order.position == 0 {
            guard let url = try? RequestURL(order.url) else { return nil }
            self.url = url
            sendsCredentials = true
            return
        }
        guard order.position > 0, let known = order.known, known.obstacle == nil,
            let url = try? RequestURL(known.url), url.text == known.url
        else { return nil }
        self.url = url
        sendsCredentials = known.sendsHeaders
    }

    /// The rules of the last order, which the next order usually has, too.
    private static let lastRules = Mutex<(compact: String, rules: EgressRules)>(("", EgressRules()))

    private static func rules(_ compact: String) -> EgressRules? {
        lastRules.withLock { last in
            if last.compact == compact { return last.rules }
            guard let rules = EgressRules(compact: compact) else { return nil }
            last = (compact, rules)
            return rules
        }
    }

    /// The credential rules at the beginning of the attempt.
    var credentials: CredentialRules {
        CredentialRules(others: order.redirects.credentialFields, areDropped: !sendsCredentials)
    }

    /// Makes a request.
    ///
    /// - Parameters:
    ///   - credentials: decides which of the caller's fields are sent.
    ///   - cookies: the cookies that redirects have set.
    ///   - now: in seconds since 1970.
    /// - Returns: nil if Foundation does not accept the URL.
    func request(
        to url: RequestURL, credentials: CredentialRules, cookies: CookieJar = CookieJar(), now: Int = 0
    ) -> URLRequest? {
        guard let target = URL(string: url.text) else { return nil }
        var request = Self.blank
        request.url = target
        var ownCookie: String?
        for field in credentials.sent(of: order.headers)
        where order.position == 0 || !Self.isCondition(field.name) {
            if field.name.lowercased() == "cookie" {
                ownCookie = field.value
            } else {
                request.setValue(field.value, forHTTPHeaderField: field.name)
            }
        }
        if let cookie = cookies.header(for: url, now: now, merging: ownCookie) {
            request.setValue(cookie, forHTTPHeaderField: "Cookie")
        }
        // These come last, because they replace the caller's fields of the same names.
        addCondition(to: &request)
        addRange(to: &request)
        return request
    }

    private static let blank = {
        let nowhere = URL(fileURLWithPath: "/")
        var request = URLRequest(url: nowhere, cachePolicy: .reloadIgnoringLocalAndRemoteCacheData)
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        request.setValue("sluice/\(SluiceVersion.current)", forHTTPHeaderField: "User-Agent")
        // Foundation adds these fields (Accept-Language from the service's locale). libcurl does not send a field with
        // a blank value.
        request.setValue(" ", forHTTPHeaderField: "Accept-Language")
        request.setValue(" ", forHTTPHeaderField: "Connection")
        return request
    }()

    /// Whether a caller's field can make the server answer 304 (RFC 9110 §13.1.2, §13.1.3). A request for the rest of a
    /// body must not have such a field.
    static func isCondition(_ name: String) -> Bool {
        ["if-none-match", "if-modified-since"].contains(name.lowercased())
    }

    /// The entity-tags are those of the final response, so they are sent to every target of a redirect.
    private func addCondition(to request: inout URLRequest) {
        guard order.position == 0, let tags = order.ifNoneMatch else { return }
        request.setValue(tags, forHTTPHeaderField: "If-None-Match")
    }

    /// RFC 9110 §13.1.5: asks for the rest if the version is still the same, and for the whole body otherwise.
    private func addRange(to request: inout URLRequest) {
        guard order.position > 0, !order.asksForAll, let validator = order.known?.version.validator else {
            return
        }
        request.setValue("bytes=\(order.position)-", forHTTPHeaderField: "Range")
        request.setValue(validator.text, forHTTPHeaderField: "If-Range")
    }
}
