internal import CCurlShim
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization

/// The egress rules of this lane's job, for libcurl's callbacks (`peer.h`). They are global to the process, like the
/// shim's state.
///
/// ## Concurrency model
/// The lane's thread sets the rules between two transfers; the session's thread reads them during a transfer. A mutex
/// protects them.
enum EgressGuard {
    private static let rules = Mutex(EgressRules())

    /// Whether the rules take effect. They do not if Foundation does not call the shim. This is known once there is a
    /// session.
    static var isEffective: Bool { ccurlshim_is_effective() }

    static func set(_ new: EgressRules) {
        rules.withLock { $0 = new }
    }

    /// - Parameter bytes: an address of 16 bytes.
    static func mayConnect(to bytes: UnsafePointer<UInt8>?, port: CInt) -> Bool {
        // An address that cannot be judged is not allowed.
        guard let bytes, let address = IPAddress(bytes: UnsafeRawBufferPointer(start: bytes, count: 16))
        else {
            return false
        }
        return rules.withLock { $0.decide(address: address, port: Int(port)) } == .allowed
    }

    /// An address and a port to which a connection was denied.
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

/// The refusal of a request that the settings do not allow.
struct EgressRefusal: Error {
    private let outcome: Outcome
    private let address: IPAddress?

    /// The refusal of a host, as a URL names it; nil if the host is allowed.
    init?(of url: RequestURL, by rules: EgressRules) {
        let origin = url.origin
        guard case .denied(let rule) = rules.decide(host: origin.host, port: origin.port) else { return nil }
        outcome = Outcome(
            .addressDenied,
            "the settings allow no connection to \(origin.host):\(origin.port): it is in \(rule)")
        address = IPAddress(host: origin.host)
    }

    /// The refusal of all addresses of a host, or of the proxy for it.
    ///
    /// - Parameter peer: the first address that was denied. Only the administrator may see it.
    init(of origin: Origin, at peer: EgressGuard.Peer, by proxy: String?, rules: EgressRules) {
        address = peer.address
        let place = "\(origin.host):\(origin.port)"
        let why =
            switch rules.decide(address: peer.address, port: peer.port) {
            case .denied(let rule): "its address is in \(rule)"
            // The address has a form that no rule can name.
            case .allowed: "its address cannot be judged"
            }
        outcome = Outcome(
            .addressDenied,
            proxy.map {
                "the settings allow no connection to the proxy \($0), through which \(place) is reached: \(why)"
            } ?? "the settings allow no connection to \(place): \(why)")
    }

    /// How the job ends.
    func facts(status: Int? = nil) -> EndFacts {
        var facts = EndFacts(outcome, status: status)
        facts.deniedAddress = address?.description
        return facts
    }
}
