internal import CCurlShim
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// Where the requests of this lane's job may go, for libcurl's callbacks (`peer.h`). One for the process, like the shim's
/// state.
///
/// ## Concurrency model
/// Set by the lane's thread between two transfers, asked by the session's thread within them.
enum EgressGuard {
    private static let rules = Mutex(EgressRules())

    /// Whether what is set takes effect: it does not where Foundation does not call the shim. Known once there is a session.
    static var isEffective: Bool { ccurlshim_is_effective() }

    static func set(_ new: EgressRules) {
        rules.withLock { $0 = new }
    }

    /// - Parameter bytes: 16 of them.
    static func mayConnect(to bytes: UnsafePointer<UInt8>?, port: CInt) -> Bool {
        // What cannot be judged is not allowed.
        guard let bytes, let address = IPAddress(bytes: UnsafeRawBufferPointer(start: bytes, count: 16))
        else {
            return false
        }
        return rules.withLock { $0.decide(address: address, port: Int(port)) } == .allowed
    }

    /// An address and a port that a connection was not made to.
    struct Peer: Sendable, Equatable {
        var address: IPAddress
        var port: Int

        init?(_ result: ccurlshim_result) {
            guard let address = withUnsafeBytes(of: result.denied, { IPAddress(bytes: $0) }) else {
                return nil
            }
            self.address = address
            port = Int(result.denied_port)
        }
    }
}

/// A request that is not made because the settings do not allow it.
struct EgressRefusal: Error {
    private let outcome: Outcome
    private let address: IPAddress?

    /// The host, as a URL names it, is not allowed; nil where it is.
    init?(of url: RequestURL, by rules: EgressRules) {
        let origin = url.origin
        guard case .denied(let rule) = rules.decide(host: origin.host, port: origin.port) else { return nil }
        outcome = Outcome(
            .addressDenied,
            "the settings allow no connection to \(origin.host):\(origin.port): it is in \(rule)")
        address = IPAddress(host: origin.host)
    }

    /// No address of the host was allowed, or of the proxy on the way there.
    ///
    /// - Parameter peer: the first of them. Its address is for the administrator alone.
    init(of origin: Origin, at peer: EgressGuard.Peer, by proxy: String?, rules: EgressRules) {
        address = peer.address
        let place = "\(origin.host):\(origin.port)"
        let why =
            switch rules.decide(address: peer.address, port: peer.port) {
            case .denied(let rule): "its address is in \(rule)"
            // It is of a kind that no rule can name.
            case .allowed: "its address cannot be judged"
            }
        outcome = Outcome(
            .addressDenied,
            proxy.map {
                "the settings allow no connection to the proxy \($0), by way of which \(place) is reached: \(why)"
            } ?? "the settings allow no connection to \(place): \(why)")
    }

    /// How the job ends.
    func facts(status: Int? = nil) -> EndFacts {
        var facts = EndFacts(outcome, status: status)
        facts.deniedAddress = address?.description
        return facts
    }
}
