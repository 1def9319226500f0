internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface

/// Where a job's redirects have led, and which credentials and cookies the next request carries.
struct RedirectChain: Sendable {
    /// A redirect that is not followed.
    struct Refusal: Error, Equatable {
        let facts: EndFacts

        init(_ code: OutcomeCode, _ message: String) {
            facts = EndFacts(Outcome(code, message))
        }

        init(_ refusal: EgressRefusal) {
            facts = refusal.facts()
        }
    }

    /// The URL of the next request, or of the last one.
    private(set) var url: RequestURL
    /// Which of the caller's fields are sent.
    private(set) var credentials: CredentialRules
    /// The cookies that redirects have set, for this job only.
    private(set) var cookies = CookieJar()
    private var count = 0

    /// The beginning of a chain.
    init(_ requests: RequestMaker) {
        url = requests.url
        credentials = requests.credentials
    }

    /// Whether a response is a redirect, even if it does not name a target (RFC 9110 §15.4).
    static func isRedirect(_ head: ResponseHead) -> Bool {
        switch head.status {
        case 301, 302, 303, 307, 308: true
        case 304: false
        case 300..<400: head.field("location") != nil
        default: false
        }
    }

    /// The chain with one more redirect.
    ///
    /// - Parameters:
    ///   - head: the head of a redirect.
    ///   - now: in seconds since 1970.
    func following(_ head: ResponseHead, order: LaneOrder, now: Int) throws(Refusal) -> RedirectChain {
        // A body at another URL is another representation, even if its validator is the same.
        if order.position > 0 {
            throw Refusal(
                .resourceChanged,
                "the server answered \(head.status): the rest of the body would be at another place")
        }
        let locations = head.bytes("location")
        if locations.isEmpty { throw Refusal(.redirectRefused, "the redirect has no Location") }
        guard count < order.redirects.limit else {
            throw Refusal(
                .tooManyRedirects, "the server redirected more than \(order.redirects.limit) times")
        }
        let target: RequestURL
        do throws(RequestError) {
            target = try url.redirected(to: locations, allowingDowngrade: order.redirects.allowsDowngrade)
        } catch {
            throw Refusal(.redirectRefused, "a redirect was refused: \(error.reason)")
        }
        var next = self
        next.count += 1
        next.cookies.store(head.values("set-cookie"), from: url, now: now)
        next.credentials.follow(from: url.origin, to: target.origin)
        next.url = target
        return next
    }
}
