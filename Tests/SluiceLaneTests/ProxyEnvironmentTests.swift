import SluiceCore
import Testing

@testable import SluiceLane

@Suite("The proxies of the environment")
struct ProxyEnvironmentTests {
    private func proxy(for url: String, _ variables: [String: String]) throws -> String? {
        ProxyEnvironment(variables).proxy(for: try RequestURL(url).origin)
    }

    @Test("each scheme has its variable, all_proxy is for both, and HTTP_PROXY is ignored")
    func readsVariables() throws {
        #expect(try proxy(for: "http://a/", ["http_proxy": "http://p:1"]) == "p:1")
        #expect(try proxy(for: "https://a/", ["http_proxy": "http://p:1"]) == nil)
        #expect(try proxy(for: "https://a/", ["HTTPS_PROXY": "p:1", "https_proxy": ""]) == "p:1")
        #expect(try proxy(for: "http://a/", ["all_proxy": "p:1"]) == "p:1")
        #expect(try proxy(for: "http://a/", ["HTTP_PROXY": "p:1"]) == nil)
    }

    @Test("credentials are not shown")
    func hidesCredentials() throws {
        #expect(try proxy(for: "http://a/", ["http_proxy": "http://user:p@ss@p:1/"]) == "p:1")
    }

    /// As CURLOPT_NOPROXY(3) says; libcurl 7.88 does not find IPv6 addresses in networks.
    @Test(
        "no_proxy names hosts with all below them, addresses, and networks",
        arguments: [
            ("http://example.org/", "example.org", true), ("http://www.example.org/", "example.org", true),
            ("http://www.example.org/", ".example.org", true),
            ("http://badexample.org/", "example.org", false),
            ("http://example.org/", "other, example.org", true), ("http://example.org/", "*", true),
            ("http://10.1.2.3/", "10.1.2.3", true), ("http://10.1.2.3/", "10.0.0.0/8", true),
            ("http://10.1.2.3/", "10.9.9.9/8", true), ("http://11.1.2.3/", "10.0.0.0/8", false),
            ("http://10.1.2.3/", "2.3", false), ("http://10.1.2.3/", "10.0.0.0/33", false),
            ("http://10.1.2.3/", "0.0.0.0/0", false),
            ("http://[2001:db8::1]/", "2001:db8::1", true), ("http://[2001:db8::1]/", "2001:db8::/32", true),
            ("http://[2001:db9::1]/", "2001:db8::/32", false), ("http://10.1.2.3/", "::/0", false),
        ])
    func matchesExemptions(_ url: String, _ list: String, _ isExempt: Bool) throws {
        let proxy = try proxy(for: url, ["http_proxy": "p:1", "no_proxy": list])
        #expect((proxy == nil) == isExempt)
    }
}
