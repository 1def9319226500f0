internal import Foundation
internal import Glibc
internal import SluiceCore

/// The proxies that libcurl takes from the environment, in order to name one where it fails.
///
/// libcurl decides by itself (libcurl-env(3)); nothing but the words of an outcome depends on this.
struct ProxyEnvironment: Sendable {
    private let variables: [String: String]

    /// - Parameter variables: of the environment, by name.
    init(_ variables: [String: String]) {
        self.variables = variables
    }

    /// This process's.
    static let current = ProxyEnvironment(
        ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"]
            .reduce(into: [:]) { variables, name in
                if let value = getenv(name) { variables[name] = String(cString: value) }
            })

    /// The proxy for an origin, as a host and perhaps a port; nil where there is none.
    func proxy(for origin: Origin) -> String? {
        // HTTP_PROXY does not count: in a CGI program it would be a request's header field.
        let names = origin.isSecure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"]
        guard let proxy = first(names + ["all_proxy", "ALL_PROXY"]), !isExempt(origin.host) else {
            return nil
        }
        return Self.withoutCredentials(proxy)
    }

    private func first(_ names: [String]) -> String? {
        names.lazy.compactMap { variables[$0] }.first { !$0.isEmpty }
    }

    private func isExempt(_ host: String) -> Bool {
        guard let list = first(["no_proxy", "NO_PROXY"]) else { return false }
        if list == "*" { return true }
        return list.lowercased().split(whereSeparator: { $0 == "," || $0 == " " }).contains { entry in
            let name = entry.drop { $0 == "." }
            return host == name || host.hasSuffix(".\(name)")
        }
    }

    private static func withoutCredentials(_ proxy: String) -> String {
        var rest = proxy[...]
        if let scheme = rest.range(of: "://") { rest = rest[scheme.upperBound...] }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        return String(rest.prefix { $0 != "/" }.prefix(200))
    }
}
