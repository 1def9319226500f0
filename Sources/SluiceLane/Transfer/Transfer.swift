internal import Foundation
internal import FoundationNetworking
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization
internal import Unix

/// One job's requests and responses: which redirects are followed, which response is accepted, and what its end means.
///
/// ## Concurrency model
/// The session's thread calls it, one callback after another. The lane's thread reads its state when a time limit
/// passes and when a job ends; `state` is locked for that. No call that may wait is made under the lock, so
/// `Pump.deliver` and `Pump.skip` come after it.
final class Transfer: Sendable {
    /// An event for the lane's thread.
    enum Event: Sendable {
        /// An acceptable head has arrived.
        case responded(ResponseFacts)
        /// The job's outcome is known, and no more bytes are delivered. `dropping` is the number of bytes that follow,
        /// if it is known; they may be received and dropped.
        case settled(EndFacts, dropping: Int?)
        /// URLSession has finished with a redirect: this request comes next.
        case redirected(URLRequest)
        /// URLSession has finished the task, and no other one follows.
        case completed(EndFacts)
    }

    /// An accepted body.
    private struct Body {
        let plan: BodyPlan
        var window: BodyWindow
        var hasher: BodyHasher?
        /// The connections that were open when the head came. One of them brings the body.
        var connections: [InetSockets.Identity]
    }

    /// How much later than libcurl the lane enforces the limit for the connection, in seconds. libcurl has the same
    /// limit and reports better what it was waiting for.
    private static let connectGrace = 1.0

    private struct State {
        var chain: RedirectChain
        /// The chain including the redirect that is being received, and the request for its target.
        var next: (chain: RedirectChain, request: URLRequest)?
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
                chain: RedirectChain(requests),
                patience: OriginPatience(
                    connect: order.timeouts.connect + Self.connectGrace, head: order.timeouts.head,
                    now: Monotonic.nanoseconds())))
    }

    // MARK: The wait for the head

    /// A connection is ready for a request.
    func connected() {
        state.withLock { $0.patience.connected(at: Monotonic.nanoseconds()) }
    }

    /// Whether a limit for the connection or for the head has passed.
    func lookAtPatience() -> OriginPatience.Look {
        state.withLock { $0.patience.look(at: Monotonic.nanoseconds()) }
    }

    /// True if the lane must speak nothing newer than HTTP/1.1.
    var http1Only: Bool { order.http1Only }

    /// The host of the current request.
    var host: String {
        state.withLock { $0.chain.url.origin.host }
    }

    /// The outcome if no connection was made in time.
    var connectOverdue: Outcome {
        let (origin, limit) = (state.withLock { $0.chain.url.origin }, order.timeouts.connect)
        if let proxy = ProxyEnvironment.current.proxy(for: origin) {
            return Outcome(
                .proxyUnreachable,
                "no connection to \(origin.host) through the proxy \(proxy) within \(limit) s")
        }
        return Outcome(.connectTimeout, "no connection to \(origin.host) within \(limit) s")
    }

    // MARK: The response

    /// Decides on the head of a response, before any byte of its body is delivered. URLSession ignores the disposition
    /// (FactsTests, F8), so `receive(chunk:)` itself drops a body that was not accepted.
    ///
    /// If Foundation sees that a response is a redirect, this is called twice for its head.
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
            guard !state.isSettled, state.next == nil else { return nil }
            let (chain, now) = (state.chain, time(nil))
            if RedirectChain.isRedirect(head) {
                do throws(RedirectChain.Refusal) {
                    state.next = try follow(head, chain, now: now)
                    return nil
                } catch {
                    var facts = error.facts
                    facts.status = head.status
                    return .settle(facts, dropping: 0)
                }
            }
            let judge = ResponseJudge(
                order: order, takesCodings: head.isExact,
                needsCookies: chain.cookies.header(for: chain.url, now: now) != nil)
            let verdict = judge.judge(
                status: head.status, url: chain.url.text, sendsCredentials: !chain.credentials.areDropped,
                now: now, field: head.field)
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

    private func follow(_ head: ResponseHead, _ chain: RedirectChain, now: Int) throws(RedirectChain.Refusal)
        -> (RedirectChain, URLRequest)
    {
        let next = try chain.following(head, order: order, now: now)
        if let refusal = EgressRefusal(of: next.url, by: requests.egress) {
            throw RedirectChain.Refusal(refusal)
        }
        let request = requests.request(
            to: next.url, credentials: next.credentials, cookies: next.cookies, now: now)
        guard let request else {
            throw RedirectChain.Refusal(.redirectRefused, "the redirect's target is not a URL")
        }
        return (next, request)
    }

    private func body(_ plan: BodyPlan) -> Body {
        Body(
            plan: plan, window: plan.window,
            hasher: plan.showsEverything
                ? BodyHasher(request: order.digest, announced: plan.digests) : nil,
            connections: plan.framing == .unannounced ? InetSockets.all() : [])
    }

    /// Takes a part of the body; does not return while the gate is closed.
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

    /// URLSession has finished a task.
    func completed(error: (any Error)?) {
        if error == nil, let request = state.withLock({ Self.goOn(&$0) }) {
            return notify(.redirected(request))
        }
        let received = pump.received
        let wait = error == nil ? nil : pump.recentWait()
        let (facts, isSettled) = state.withLock { state in
            (end(state, error, received, wait), state.isSettled)
        }
        notify(.completed(facts))
        // If the transfer is settled, the event is on its way to the lane's thread, which closes the account.
        // `originEnded` must not close it earlier.
        if !isSettled { pump.originEnded() }
    }

    private static func goOn(_ state: inout State) -> URLRequest? {
        guard !state.isSettled, let next = state.next.take() else { return nil }
        state.chain = next.chain
        state.patience.redirected(at: Monotonic.nanoseconds())
        return next.request
    }

    private func end(_ state: State, _ error: (any Error)?, _ received: Int, _ wait: Duration?) -> EndFacts {
        if let error {
            let end = RequestProgress.end()
            let origin = state.chain.url.origin
            let proxy = ProxyEnvironment.current.proxy(for: origin)
            if state.body == nil, let peer = end?.denied {
                let refusal = EgressRefusal(of: origin, at: peer, by: proxy, rules: requests.egress)
                return refusal.facts(status: state.status)
            }
            let failure = TransferFailure(
                origin: origin, end: end, proxy: proxy, connectLimit: order.timeouts.connect)
            let outcome = failure.outcome(
                for: error, hasResponse: state.body != nil, received: received,
                length: state.body?.plan.length)
            return EndFacts(
                TransferFailure.outcome(outcome, afterWait: wait),
                status: outcome.code == .proxyRefused ? end?.proxyStatus : state.status)
        }
        guard let body = state.body else {
            return EndFacts(
                Outcome(.protocolError, "the transfer ended without a response"), status: state.status)
        }
        let endIsProven = body.plan.framing == .unannounced && outlivesBody(body)
        return Self.facts(
            body, body.plan.atEnd(seen: body.window.seen, endIsProven: endIsProven), status: state.status)
    }

    /// Whether the connection that brought a body still exists after the body's end. If so, an HTTP/2 stream ended the
    /// body, not the connection.
    private func outlivesBody(_ body: Body) -> Bool {
        if let end = RequestProgress.end() { return end.outlivesBody }
        // The connection is one of these, and all of them are open. This is wrong if URLSession has dropped one and has
        // not closed its socket yet. Without the shim there is no better way.
        return !body.connections.isEmpty && body.connections.allSatisfy(InetSockets.isEstablished)
    }

    private static func facts(_ body: Body, _ outcome: Outcome, status: Int?) -> EndFacts {
        guard let hasher = body.hasher else { return EndFacts(outcome, status: status) }
        let judged = hasher.judge(outcome)
        var facts = EndFacts(judged.outcome, status: status)
        facts.digest = judged.digest
        return facts
    }

    /// The result for a consumer that has `delivered` bytes and closes its pipe before URLSession reports the body's
    /// end: nil if these are not all bytes, or if that is unknown.
    func facts(forAll delivered: Int) -> EndFacts? {
        state.withLock { state in
            let complete = Outcome(.complete, "the body has \(delivered) bytes")
            guard let body = state.body else {
                // The purpose of this attempt was to find out that no byte is missing.
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

    /// The rest is not wanted: no redirect is followed, and bytes that arrive are dropped.
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
