import LaneProtocol
import Testing

@testable import SluiceCore

@Suite("Egress settings")
struct EgressSettingsTests {
    @Test(
        "addresses and networks are read as written, and shown in canonical form",
        arguments: [
            ("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.1", "192.0.2.1"), ("192.0.2.1/32", "192.0.2.1"),
            ("0.0.0.0/0", "0.0.0.0/0"), ("0.0.0.0/8", "0.0.0.0/8"), ("2001:db8::/32", "2001:db8::/32"),
            ("2001:DB8:0::1", "2001:db8::1"), ("::/0", "::/0"), ("::1", "::1"), ("fe80::/10", "fe80::/10"),
        ])
    func showsNetworksInCanonicalForm(_ text: String, _ shown: String) throws {
        let entry = try EgressEntry(network: text)
        guard case .networks(let networks) = entry.target else {
            Issue.record("\(entry)")
            return
        }
        #expect(networks.map(\.text) == [shown])
        #expect(entry.text == text)
    }

    @Test(
        "an invalid network is refused with advice on what to write",
        arguments: [
            ("", "leave it out"), ("10.0.0.1/8", "write 10.0.0.0/8"), ("10.0.0.0/33", "192.0.2.0/24"),
            ("10.0.0.0/", "192.0.2.0/24"), ("10.0.0.0/-1", "192.0.2.0/24"), ("10.0.0/8", "192.0.2.0/24"),
            ("0x0a000000/8", "192.0.2.0/24"), ("010.0.0.0/8", "192.0.2.0/24"), ("127.1", "192.0.2.0/24"),
            ("2001:db8::1/32", "write 2001:db8::/32"), ("[::1]", "192.0.2.0/24"),
            ("fe80::1%eth0", "192.0.2.0/24"),
            ("::ffff:10.0.0.0/104", "write 10.0.0.0/8"), ("::ffff:0.0.0.0/96", "write 0.0.0.0/0"),
            ("64:ff9b::/96", "write 0.0.0.0/0"), ("64:ff9b::10.0.0.1", "write 10.0.0.1"),
            ("0.0.0.0", "write 127.0.0.1"), ("::", "write ::1"), ("example.org", "a word: any, loopback"),
            ("Private", "a word: any, loopback"), ("any port", "any port 443"),
            ("any port 0", "any port 443"),
            ("any port 65536", "any port 443"), ("any port 2-1", "any port 443"),
            ("any port 1-2-3", "any port 443"),
            ("any  port 1", "any port 443"), ("any port 1 ", "any port 443"), ("any ports 1", "any port 443"),
            (" any", "leave it out"), ("\u{0}", "a word"), ("any port -1", "any port 443"),
        ])
    func refusesInvalidNetworks(_ text: String, _ remedy: String) {
        let problem = #expect(throws: EgressEntry.Problem.self) { try EgressEntry(network: text) }
        #expect(problem?.remedy.contains(remedy) == true, "\(text): \(problem?.remedy ?? "")")
    }

    @Test(
        "an invalid host is refused with advice on what to write",
        arguments: [
            ("", "leave it out"), (".", "example.org"), ("..x", "example.org"),
            ("*.example.org", "write “.example.org”"),
            ("10.0.0.1", "deny_networks"), ("::1", "deny_networks"), ("10.0.0.0/8", "deny_networks"),
            ("private", "deny_networks"), ("127.1", "example.org"), ("0x7f000001", "example.org"),
            ("a b", "port 443"),
            ("http://x", "deny_networks"), ("x:80", "example.org"), ("a_b\u{7}", "example.org"),
            ("😀.org", "example.org"),
            (String(repeating: "a", count: 254), "example.org"),
            (String(repeating: "a", count: 301), "at most 300"),
            ("x\ny", "example.org"), ("ä\n.org", "example.org"), ("[::1]", "example.org"),
        ])
    func refusesInvalidHosts(_ text: String, _ remedy: String) {
        let problem = #expect(throws: EgressEntry.Problem.self) { try EgressEntry(host: text) }
        #expect(problem?.remedy.contains(remedy) == true, "\(text): \(problem?.remedy ?? "")")
    }

    @Test("are checked: each wrong entry is reported with its list, and names, entries and bytes are limited")
    func reportsProblemsWithTheirList() {
        func parameters(_ change: (inout Settings.Egress) -> Void) -> [String] {
            var settings = Settings()
            change(&settings.egress)
            return settings.problems().map(\.parameter)
        }
        #expect(
            parameters { $0.everyone.denyNetworks = ["x", "private", "y"] } == [
                "egress.deny_networks", "egress.deny_networks",
            ])
        #expect(parameters { $0.everyone.allowHosts = ["10.0.0.1"] } == ["egress.allow_hosts"])
        func lists(_ hosts: [String]) -> Settings.Egress.Lists {
            var lists = Settings.Egress.Lists()
            lists.denyHosts = hosts
            return lists
        }
        #expect(parameters { $0.users["a"] = lists(["*"]) } == ["egress.users.a.deny_hosts"])
        #expect(parameters { $0.groups["g"] = lists(["*"]) } == ["egress.groups.g.deny_hosts"])
        for name in ["", "a b", "ä", "a\"", "a\n", String(repeating: "a", count: 65)] {
            #expect(parameters { $0.users[name] = lists(["x"]) } == ["egress.users"], "\(name)")
        }
        for name in ["alice", "1000", "DOMAIN\\alice", "alice@example.org"] {
            #expect(parameters { $0.groups[name] = lists(["x"]) }.isEmpty, "\(name)")
        }
        let many = (0..<257).map { "h\($0)" }
        #expect(parameters { $0.everyone.denyHosts = many } == ["egress.deny_hosts"])
        #expect(parameters { $0.everyone.denyHosts = many.dropLast() }.isEmpty)
        let long = (0..<100).map { "\(String(repeating: "a", count: 240)).\($0)x" }
        #expect(parameters { $0.users = ["a": lists(long), "b": lists(long)] }.isEmpty)
        #expect(parameters { $0.groups = ["a": lists(long), "b": lists(long)] } == ["egress"])
    }

    @Test("the rules of one user fit into an order, together with its other large parts")
    func rulesFitIntoOrder() {
        let others = RequestURL.maximumLength * 2 + RequestHeaders.maximumBytes
        #expect(Settings.Egress.maximumBytes + others < LaneOrder.maximumBytes / 2)
    }
}
