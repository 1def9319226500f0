internal import Foundation
internal import FoundationNetworking
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// One job's request and response: which redirects are followed, which response is taken, what its end means.
///
/// ## Concurrency model
/// Called by the session's thread, one callback after another. The lane's thread only asks for `request` before the
/// transfer begins; `state` is locked so that this is visibly safe.
final class Transfer: Sendable {
    /// What the lane has to know.
    enum Event: Sendable {
        /// An acceptable head has arrived.
        case responded(status: Int, length: Int?)
        /// The response, or a redirect, is not taken. What follows may be dropped.
        case refused(Outcome, status: Int?, dropping: Int?)
        /// URLSession is done with the task.
        case completed(Outcome)
    }

    /// As many redirects are followed, as browsers and curl's users are used to seeing followed at least.
    static let maximumRedirects = 10

    private struct State {
        var url: RequestURL
        var redirects = 0
        var status: Int?
        var head: (length: Int?, framing: BodyFraming)?
        /// The connection that the body comes on, where there is only one.
        var connection: InetSockets.Identity?
        var isRefused = false
    }

    private let order: LaneOrder
    private let pump: Pump
    private let notify: @Sendable (Event) -> Void
    private let state: Mutex<State>

    init(order: LaneOrder, url: RequestURL, pump: Pump, notify: @escaping @Sendable (Event) -> Void) {
        self.order = order
        self.pump = pump
        self.notify = notify
        state = Mutex(State(url: url))
    }

    /// The request to begin with; nil where Foundation does not take the URL.
    func request() -> URLRequest? {
        guard let url = URL(string: order.url) else { return nil }
        var request = plainRequest(url)
        for field in order.headers { request.setValue(field.value, forHTTPHeaderField: field.name) }
        return request
    }

    /// A request with the lane's own fields and nothing of the caller's.
    private func plainRequest(_ url: URL) -> URLRequest {
        var request = URLRequest(url: url, cachePolicy: .reloadIgnoringLocalAndRemoteCacheData)
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        request.setValue("sluice/\(SluiceVersion.current)", forHTTPHeaderField: "User-Agent")
        return request
    }

    // MARK: The session's thread

    /// Where a redirect leads, or nil for: not there.
    func redirect(response: HTTPURLResponse, proposed: URLRequest) -> URLRequest? {
        if state.withLock({ $0.isRefused }) { return nil }
        let decision = state.withLock { state -> Result<RedirectTarget, RefusedRedirect> in
            state.status = response.statusCode
            state.redirects += 1
            guard state.redirects <= Self.maximumRedirects else {
                return .failure(
                    RefusedRedirect(
                        .tooManyRedirects, "the server redirected \(state.redirects) times"))
            }
            guard let location = response.value(forHTTPHeaderField: "Location") else {
                return .failure(RefusedRedirect(.redirectRefused, "the redirect has no Location"))
            }
            do throws(RequestError) {
                let target = try state.url.redirected(to: location)
                let keepsFields = target.origin == state.url.origin
                state.url = target
                return .success(RedirectTarget(url: target, keepsFields: keepsFields))
            } catch {
                return .failure(RefusedRedirect(.redirectRefused, "a redirect was refused: \(error.reason)"))
            }
        }
        switch decision {
        case .success(let target):
            guard let url = URL(string: target.url.text) else {
                refuse(Outcome(.redirectRefused, "the redirect's target is not a URL"), dropping: nil)
                return nil
            }
            // What the caller sent was for the first origin. Once stripped it stays stripped, also on the way back.
            var request = target.keepsFields ? proposed : plainRequest(url)
            request.url = url
            return request
        case .failure(let refusal):
            refuse(refusal.outcome, dropping: nil)
            return nil
        }
    }

    private struct RedirectTarget {
        let url: RequestURL
        let keepsFields: Bool
    }

    private struct RefusedRedirect: Error {
        let outcome: Outcome

        init(_ code: OutcomeCode, _ message: String) {
            outcome = Outcome(code, message)
        }
    }

    /// Decides on the head of the final response. Nothing of the body has been delivered yet, and URLSession does not
    /// care for an answer: `receive` has to know.
    func receive(head response: URLResponse) {
        guard let response = response as? HTTPURLResponse else {
            refuse(Outcome(.protocolError, "the answer is not HTTP"), dropping: nil)
            return
        }
        // 100 and 103 are not the answer, which is still to come (RFC 9110 §15.2).
        guard response.statusCode >= 200 else { return }
        let isRefused = state.withLock { state in
            state.status = response.statusCode
            return state.isRefused
        }
        if isRefused { return }
        let decision = ResponseRules.judge(
            status: response.statusCode, field: { response.value(forHTTPHeaderField: $0) },
            maximumSize: order.maximumSize)
        switch decision {
        case .accept(let length, let framing):
            let sockets = framing == .unannounced ? InetSockets.all() : []
            state.withLock { state in
                state.head = (length, framing)
                state.connection = sockets.count == 1 ? sockets.first : nil
            }
            notify(.responded(status: response.statusCode, length: length))
        case .refuse(.httpStatus, let message):
            let length = response.value(forHTTPHeaderField: "Content-Length").flatMap { Int($0) }
            refuse(Outcome(.httpStatus, message), dropping: length)
        case .refuse(let code, let message):
            refuse(Outcome(code, message), dropping: nil)
        }
    }

    /// A part of the body; does not return while the gate is closed.
    func receive(chunk: Data) {
        let isWanted = state.withLock { !$0.isRefused && $0.head != nil }
        if isWanted { pump.deliver(chunk) }
    }

    /// URLSession is done.
    ///
    /// - Parameter response: the last one. Of a redirect without a Location Foundation tells in no other way.
    func completed(error: (any Error)?, response: URLResponse?) {
        let received = pump.received
        let (outcome, isRefused) = state.withLock { state in
            (self.outcome(&state, error, response, received), state.isRefused)
        }
        notify(.completed(outcome))
        // A refusal is on its way to the lane's thread, which closes the account: it must not be closed before.
        if !isRefused { pump.originEnded() }
    }

    private func outcome(
        _ state: inout State, _ error: (any Error)?, _ response: URLResponse?, _ received: Int
    ) -> Outcome {
        if let error {
            return TransferFailure.outcome(
                for: error, url: state.url, hasResponse: state.head != nil, received: received,
                length: state.head?.length)
        }
        guard let head = state.head else {
            if let response = response as? HTTPURLResponse, (300...399).contains(response.statusCode) {
                state.status = response.statusCode
                return Outcome(.redirectRefused, "the redirect has no Location")
            }
            return Outcome(.protocolError, "the transfer ended without a response")
        }
        // A connection that is open after the body has ended cannot have been what ended it: HTTP/2 did.
        let endIsProven =
            head.framing == .unannounced && (state.connection.map(InetSockets.isEstablished) ?? false)
        return ResponseRules.atEnd(
            received: received, length: head.length, framing: head.framing, endIsProven: endIsProven)
    }

    /// The length of an accepted body, where it was announced.
    var announcedLength: Int? {
        state.withLock { $0.head?.length }
    }

    /// Nobody wants the rest: no redirect is followed, and what arrives is dropped.
    func abandon() {
        state.withLock { $0.isRefused = true }
    }

    /// The status of the last response, redirects included.
    var status: Int? {
        state.withLock { $0.status }
    }

    private func refuse(_ outcome: Outcome, dropping length: Int?) {
        let status = state.withLock { state in
            state.isRefused = true
            return state.status
        }
        notify(.refused(outcome, status: status, dropping: length))
    }
}
