internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// The requests of an order: where they go and what they carry.
struct RequestMaker: Sendable {
    let order: LaneOrder
    /// Where the order begins: at the URL that was asked for, or at the one that the delivered bytes came from.
    let url: RequestURL
    /// The caller's credentials go there.
    let sendsCredentials: Bool
    /// Where the requests may go.
    let egress: EgressRules

    /// The requests for an order; nil where it contradicts itself.
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

    /// The rules of the last order: most often they are those of the next one, too.
    private static let lastRules = Mutex<(compact: String, rules: EgressRules)>(("", EgressRules()))

    private static func rules(_ compact: String) -> EgressRules? {
        lastRules.withLock { last in
            if last.compact == compact { return last.rules }
            guard let rules = EgressRules(compact: compact) else { return nil }
            last = (compact, rules)
            return rules
        }
    }

    /// What may go to another origin than the caller's, at the beginning.
    var credentials: CredentialRules {
        CredentialRules(others: order.redirects.credentialFields, areDropped: !sendsCredentials)
    }

    /// A request.
    ///
    /// - Parameters:
    ///   - credentials: decides which of the caller's fields go along.
    ///   - cookies: that redirects have set.
    ///   - now: in seconds since 1970.
    /// - Returns: nil where Foundation does not take the URL.
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
        // Last, for they go before fields of the caller's.
        addCondition(to: &request)
        addRange(to: &request)
        return request
    }

    private static let blank = {
        let nowhere = URL(fileURLWithPath: "/")
        var request = URLRequest(url: nowhere, cachePolicy: .reloadIgnoringLocalAndRemoteCacheData)
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        request.setValue("sluice/\(SluiceVersion.current)", forHTTPHeaderField: "User-Agent")
        // Foundation adds one of the service's locale. libcurl sends no field that is blank.
        request.setValue(" ", forHTTPHeaderField: "Accept-Language")
        request.setValue(" ", forHTTPHeaderField: "Connection")
        return request
    }()

    /// Whether a caller's field may be answered by 304 (RFC 9110 §13.1.2, §13.1.3). What is in the middle of a body
    /// has no use for that.
    static func isCondition(_ name: String) -> Bool {
        ["if-none-match", "if-modified-since"].contains(name.lowercased())
    }

    /// The entity-tag is of what is fetched in the end, so it goes along on redirects, wherever they lead.
    private func addCondition(to request: inout URLRequest) {
        guard order.position == 0, let tags = order.ifNoneMatch else { return }
        request.setValue(tags, forHTTPHeaderField: "If-None-Match")
    }

    /// RFC 9110 §13.1.5: the rest if it is still the same version, else the whole.
    private func addRange(to request: inout URLRequest) {
        guard order.position > 0, !order.asksForAll, let validator = order.known?.version.validator else {
            return
        }
        request.setValue("bytes=\(order.position)-", forHTTPHeaderField: "Range")
        request.setValue(validator.text, forHTTPHeaderField: "If-Range")
    }
}
