internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// One job's request and response: which redirects are followed, which response is taken, what its end means.
///
/// ## Concurrency model
/// Called by the session's thread, one callback after another. The lane's thread asks for the request before the
/// transfer begins, and how things stand when it ends a job; `state` is locked for that. No call that may wait is made
/// under the lock: `Pump.deliver` is, so it comes after it.
final class Transfer: Sendable {
    /// What the lane has to know.
    enum Event: Sendable {
        /// An acceptable head has arrived.
        case responded(ResponseFacts)
        /// The job's outcome is known, and no more bytes are delivered. What follows may be dropped, so many bytes.
        case settled(EndFacts, dropping: Int?)
        /// URLSession is done with the task.
        case completed(EndFacts)
    }

    /// An accepted body.
    private struct Body {
        let plan: BodyPlan
        var window: BodyWindow
        var hasher: BodyHasher?
        /// The connections that were open at its head: one of them brings it.
        var connections: [InetSockets.Identity]
    }

    /// libcurl has the same limit for the connection and knows more of what it waits for, so it goes first; in seconds.
    private static let connectGrace = 1.0

    private struct State {
        var url: RequestURL
        /// What goes along to where redirects lead.
        var credentials: CredentialRules
        /// What redirects have set, for this job alone.
        var cookies = CookieJar()
        var redirects = 0
        var status: Int?
        var body: Body?
        var isSettled = false
        var patience: OriginPatience
    }

    private let order: LaneOrder
    private let requests: RequestMaker
    private let pump: Pump
    private let notify: @Sendable (Event) -> Void
    private let state: Mutex<State>

    init(requests: RequestMaker, pump: Pump, notify: @escaping @Sendable (Event) -> Void) {
        order = requests.order
        self.requests = requests
        self.pump = pump
        self.notify = notify
        state = Mutex(
            State(
                url: requests.url, credentials: requests.credentials,
                patience: OriginPatience(
                    connect: order.timeouts.connect + Self.connectGrace, head: order.timeouts.head,
                    now: Monotonic.nanoseconds())))
    }

    // MARK: The wait for the head

    /// A connection is there for a request.
    func connected() {
        state.withLock { $0.patience.connected(at: Monotonic.nanoseconds()) }
    }

    /// Whether the origin has had its time.
    func lookAtPatience() -> OriginPatience.Look {
        state.withLock { $0.patience.look(at: Monotonic.nanoseconds()) }
    }

    /// Nothing newer than HTTP/1.1 is to be spoken.
    var http1Only: Bool { order.http1Only }

    /// The host that is asked now.
    var host: String {
        state.withLock { $0.url.origin.host }
    }

    /// What it means that there is no connection in time.
    var connectOverdue: Outcome {
        let (origin, limit) = (state.withLock { $0.url.origin }, order.timeouts.connect)
        if let proxy = ProxyEnvironment.current.proxy(for: origin) {
            return Outcome(
                .proxyUnreachable,
                "no connection to \(origin.host) by way of the proxy \(proxy) within \(limit) s")
        }
        return Outcome(.connectTimeout, "no connection to \(origin.host) within \(limit) s")
    }

    // MARK: Redirects

    /// Where a redirect leads, or nil for: not there.
    func redirect(response: HTTPURLResponse) -> URLRequest? {
        let now = time(nil)
        let decision = state.withLock { state -> Result<URLRequest, RefusedRedirect>? in
            guard !state.isSettled else { return nil }
            let head = ResponseHead(response)
            state.status = head.status
            return follow(head, &state, now: now)
        }
        switch decision {
        case .success(let request)?:
            return request
        case .failure(let refusal)?:
            settle(refusal.outcome)
            return nil
        case nil:
            return nil
        }
    }

    private func follow(_ head: ResponseHead, _ state: inout State, now: Int)
        -> Result<URLRequest, RefusedRedirect>
    {
        if order.position > 0 { return .failure(Self.movedRest(state.status)) }
        state.redirects += 1
        guard state.redirects <= order.redirects.limit else {
            return .failure(
                RefusedRedirect(
                    .tooManyRedirects, "the server redirected more than \(order.redirects.limit) times"))
        }
        do throws(RequestError) {
            let target = try state.url.redirected(
                to: head.bytes("location"), allowingDowngrade: order.redirects.allowsDowngrade)
            state.cookies.store(head.values("set-cookie"), from: state.url, now: now)
            state.credentials.follow(from: state.url.origin, to: target.origin)
            state.url = target
            state.patience.redirected(at: Monotonic.nanoseconds())
            let request = requests.request(
                to: target, credentials: state.credentials, cookies: state.cookies, now: now)
            guard let request else {
                return .failure(RefusedRedirect(.redirectRefused, "the redirect's target is not a URL"))
            }
            return .success(request)
        } catch {
            return .failure(RefusedRedirect(.redirectRefused, "a redirect was refused: \(error.reason)"))
        }
    }

    /// What is at another place is another representation, whatever its validator says.
    private static func movedRest(_ status: Int?) -> RefusedRedirect {
        RefusedRedirect(
            .resourceChanged,
            "the server answered \(status ?? 0): the rest of the body would be at another place")
    }

    /// Why a redirect that says not where to is not followed; nil for a response that is none.
    private func pointless(_ head: ResponseHead) -> RefusedRedirect? {
        guard [301, 302, 303, 307, 308].contains(head.status) else { return nil }
        return order.position > 0
            ? Self.movedRest(head.status)
            : RefusedRedirect(.redirectRefused, "the redirect has no Location")
    }

    private struct RefusedRedirect: Error {
        let outcome: Outcome

        init(_ code: OutcomeCode, _ message: String) {
            outcome = Outcome(code, message)
        }
    }

    // MARK: The response

    /// Decides on the head of the final response. Nothing of the body has been delivered yet, and URLSession does not
    /// care for an answer: `receive` has to know.
    func receive(head response: URLResponse) {
        guard let response = response as? HTTPURLResponse else {
            settle(Outcome(.protocolError, "the answer is not HTTP"))
            return
        }
        let head = ResponseHead(response)
        // 100 and 103 are not the answer, which is still to come (RFC 9110 §15.2).
        guard head.status >= 200 else { return }
        let verdict = state.withLock { state -> Verdict? in
            state.status = head.status
            guard !state.isSettled else { return nil }
            if let refusal = pointless(head) {
                return .settle(EndFacts(refusal.outcome, status: head.status), dropping: 0)
            }
            let judge = ResponseJudge(
                order: order, takesCodings: head.isExact,
                needsCookies: state.cookies.header(for: state.url, now: time(nil)) != nil)
            let verdict = judge.judge(
                status: head.status, url: state.url.text, sendsCredentials: !state.credentials.areDropped,
                now: time(nil), field: head.field)
            if case .take(let plan, let facts) = verdict {
                if order.position == 0 { pump.announce(facts.representation) }
                state.body = body(plan)
            }
            return verdict
        }
        switch verdict {
        case .take(_, let facts)?: notify(.responded(facts))
        case .settle(let facts, let length)?: settle(facts, dropping: length)
        case nil: break
        }
    }

    private func body(_ plan: BodyPlan) -> Body {
        Body(
            plan: plan, window: plan.window,
            hasher: plan.showsEverything
                ? BodyHasher(request: order.digest, announced: plan.digests) : nil,
            connections: plan.framing == .unannounced ? InetSockets.all() : [])
    }

    /// A part of the body; does not return while the gate is closed.
    func receive(chunk: Data) {
        let parts = state.withLock { state -> BodyWindow.Parts? in
            guard !state.isSettled else { return nil }
            let parts = state.body?.window.take(chunk)
            if let parts { state.body?.hasher?.update(parts.announced) }
            return parts
        }
        guard let parts else { return }
        pump.skip(parts.announced.count - parts.wanted.count)
        if !parts.wanted.isEmpty { pump.deliver(parts.wanted) }
        if parts.hasExcess, let excess = state.withLock({ $0.body?.plan.excess }) { settle(excess) }
    }

    // MARK: The end

    /// URLSession is done.
    ///
    /// - Parameter response: the last one. Of a redirect without a Location Foundation tells in no other way.
    func completed(error: (any Error)?, response: URLResponse?) {
        let received = pump.received
        let hold = error == nil ? nil : pump.recentHold()
        let (facts, isSettled) = state.withLock { state in
            (end(&state, error, response, received, hold), state.isSettled)
        }
        notify(.completed(facts))
        // What has been settled is on its way to the lane's thread, which closes the account: it must not be closed
        // before.
        if !isSettled { pump.originEnded() }
    }

    private func end(
        _ state: inout State, _ error: (any Error)?, _ response: URLResponse?, _ received: Int,
        _ hold: Duration?
    ) -> EndFacts {
        if let error {
            let end = RequestProgress.end()
            let failure = TransferFailure(
                origin: state.url.origin, end: end,
                proxy: ProxyEnvironment.current.proxy(for: state.url.origin),
                connectLimit: order.timeouts.connect)
            let outcome = failure.outcome(
                for: error, hasResponse: state.body != nil, received: received,
                length: state.body?.plan.length)
            return EndFacts(
                TransferFailure.outcome(outcome, afterHold: hold),
                status: outcome.code == .proxyRefused ? end?.proxyStatus : state.status)
        }
        guard let body = state.body else {
            if let response = response as? HTTPURLResponse, case let head = ResponseHead(response),
                let refusal = pointless(head)
            {
                state.status = head.status
                return EndFacts(refusal.outcome, status: state.status)
            }
            return EndFacts(
                Outcome(.protocolError, "the transfer ended without a response"), status: state.status)
        }
        let endIsProven = body.plan.framing == .unannounced && outlivesBody(body)
        return Self.facts(
            body, body.plan.atEnd(seen: body.window.seen, endIsProven: endIsProven), status: state.status)
    }

    /// Whether the connection that brought a body is there after its end: then something else was what ended it, which
    /// only HTTP/2 has.
    private func outlivesBody(_ body: Body) -> Bool {
        if let end = RequestProgress.end() { return end.outlivesBody }
        // It is one of these, and all of them are open. Where URLSession has closed one and the kernel has not heard of it
        // this is wrong; nothing better shows without the shim.
        return !body.connections.isEmpty && body.connections.allSatisfy(InetSockets.isEstablished)
    }

    private static func facts(_ body: Body, _ outcome: Outcome, status: Int?) -> EndFacts {
        guard let hasher = body.hasher else { return EndFacts(outcome, status: status) }
        let judged = hasher.judge(outcome)
        var facts = EndFacts(judged.outcome, status: status)
        facts.digest = judged.digest
        return facts
    }

    /// What is to be said of a consumer that has so many bytes and closes its pipe before URLSession has told of the
    /// body's end: nil where that was not all, or where nobody can say so.
    func facts(forAll delivered: Int) -> EndFacts? {
        state.withLock { state in
            let complete = Outcome(.complete, "the body has \(delivered) bytes")
            guard let body = state.body else {
                // The attempt was to find out that nothing is missing.
                guard order.position > 0, order.position == delivered, order.known?.length == delivered,
                    !order.asksForAll
                else { return nil }
                return EndFacts(complete, status: state.status)
            }
            guard body.plan.length == delivered else { return nil }
            if body.hasher != nil, body.window.seen != delivered { return nil }
            return Self.facts(body, complete, status: state.status)
        }
    }

    /// Nobody wants the rest: no redirect is followed, and what arrives is dropped.
    func abandon() {
        state.withLock { $0.isSettled = true }
    }

    /// The status of the last response, redirects included.
    var status: Int? {
        state.withLock { $0.status }
    }

    private func settle(_ outcome: Outcome) {
        settle(EndFacts(outcome, status: status), dropping: nil)
    }

    private func settle(_ facts: EndFacts, dropping length: Int?) {
        state.withLock { $0.isSettled = true }
        notify(.settled(facts, dropping: length))
    }
}
