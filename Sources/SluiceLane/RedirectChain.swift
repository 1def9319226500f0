internal import SluiceCore
internal import SluiceInterface

/// How far redirects have led, and what goes along from there.
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

    /// Where the next request goes, or the last one went.
    private(set) var url: RequestURL
    /// What of the caller's goes along.
    private(set) var credentials: CredentialRules
    /// What redirects have set, for this job alone.
    private(set) var cookies = CookieJar()
    private var count = 0

    /// The beginning of a chain.
    init(_ requests: RequestMaker) {
        url = requests.url
        credentials = requests.credentials
    }

    /// Whether a response asks for another request, even where it does not say for which (RFC 9110 §15.4).
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
    ///   - head: a redirect's.
    ///   - now: in seconds since 1970.
    func following(_ head: ResponseHead, order: LaneOrder, now: Int) throws(Refusal) -> RedirectChain {
        // What is at another place is another representation, whatever its validator says.
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
