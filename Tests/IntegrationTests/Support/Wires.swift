import TestKit

/// The protocols over which a body can come.
enum Wire: String, CaseIterable, Sendable, CustomStringConvertible {
    case http
    case tls
    case http2

    var description: String { rawValue }

    /// The protocols that this machine can test: TLS needs a mount namespace for its authority.
    static var available: [Wire] { Trust.isAvailable ? allCases : [.http] }
}

/// An nginx with all these protocols, and a service that trusts it.
struct Wires {
    let authority: TestCA
    let nginx: Nginx
    let service: TestService

    init(_ settings: String = "", nginx change: (inout NginxOptions) -> Void = { _ in }) throws {
        authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        change(&options)
        nginx = try Nginx(options)
        service = try TestService(
            settings, authority: Trust.isAvailable ? authority.certificate : nil)
    }

    func url(_ path: String, over wire: Wire) -> String {
        switch wire {
        case .http: nginx.httpURL(path)
        case .tls: nginx.tlsURL(path)
        case .http2: nginx.http2URL(path)
        }
    }

    func port(_ wire: Wire) -> UInt16 {
        switch wire {
        case .http: nginx.httpPort
        case .tls: nginx.tlsPort
        case .http2: nginx.http2Port
        }
    }
}
