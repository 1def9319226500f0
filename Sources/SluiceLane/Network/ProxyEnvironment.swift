internal import Foundation
internal import Glibc
internal import SluiceCore

/// The proxies that libcurl takes from the environment, so that an outcome can name a proxy that fails.
///
/// libcurl decides by itself which proxy it uses (libcurl-env(3)). Only the code and the text of a failed transfer's
/// outcome depend on this type.
struct ProxyEnvironment: Sendable {
    private let variables: [String: String]

    /// - Parameter variables: the environment's variables, by name.
    init(_ variables: [String: String]) {
        self.variables = variables
    }

    /// The environment of this process.
    static let current = ProxyEnvironment(
        ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"]
            .reduce(into: [:]) { variables, name in
                if let value = getenv(name) { variables[name] = String(cString: value) }
            })

    /// The proxy for an origin, as a host with or without a port; nil if there is none.
    func proxy(for origin: Origin) -> String? {
        // HTTP_PROXY is ignored: in a CGI program it would hold a header field of the request.
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
        let entries = list.lowercased().split(whereSeparator: { $0 == "," || $0 == " " })
        if let address = IPAddress(host: host) {
            return entries.contains { IPNetwork(noProxy: $0)?.contains(address) ?? false }
        }
        return entries.contains { entry in
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
