import Testing

@testable import SluiceCore

@Suite("Egress rules")
struct EgressRulesTests {
    /// One decision: the question, and the expected answer.
    struct Case: Sendable, CustomStringConvertible {
        var description: String
        var host: String
        var address: String?
        var port = 80
        /// The entry that denies it; nil where the rules allow it.
        var deniedBy: String?

        init(_ host: String, at address: String? = nil, port: Int = 80, deniedBy entry: String? = nil) {
            description = "\(host) at \(address ?? "itself"), port \(port)"
            (self.host, self.address, self.port, deniedBy) = (host, address, port, entry)
        }
    }

    private static func rules(_ change: (inout Settings.Egress) -> Void = { _ in }) -> EgressRules {
        var egress = Settings.Egress()
        change(&egress)
        #expect(egress.problems().isEmpty, "\(egress.problems())")
        return egress.rules(names: ["alice", "1000"], memberships: ["staff", "guests"])
    }

    private static func judge(_ rules: EgressRules, _ example: Case) -> String? {
        let address = example.address.flatMap { IPAddress($0) }
        #expect((address == nil) == (example.address == nil))
        let decision =
            address.map { rules.decide(host: example.host, address: $0, port: example.port) }
            ?? rules.decide(host: example.host, port: example.port)
        if case .denied(let rule) = decision { return rule.entry.text } else { return nil }
    }

    static let byDefault: [Case] = [
        // Addresses that every job may reach.
        Case("example.org", at: "93.184.216.34"), Case("93.184.216.34"), Case("[2001:db8::1]"),
        Case("example.org", at: "2001:db8::1"), Case("localhost", at: "127.0.0.1"), Case("127.0.0.1"),
        Case("[::1]"), Case("0.0.0.0"), Case("[::]"), Case("10.0.0.1"), Case("172.16.0.1"),
        Case("192.168.1.1"), Case("100.64.0.1"), Case("[fd00::1]"), Case("[::ffff:10.0.0.1]"),
        // Link-local.
        Case("169.254.0.1", deniedBy: "link-local"), Case("169.254.255.255", deniedBy: "link-local"),
        Case("[fe80::1]", deniedBy: "link-local"), Case("[febf::1]", deniedBy: "link-local"),
        Case("[fec0::1]"), Case("169.253.255.255"), Case("169.255.0.0"),
        Case("[::ffff:169.254.0.1]", deniedBy: "link-local"),
        Case("x.test", at: "169.254.0.1", deniedBy: "link-local"),
        Case("x.test", at: "fe80::1", deniedBy: "link-local"),
        // Metadata services, in all forms.
        Case("169.254.169.254", deniedBy: "link-local"), Case("[fd00:ec2::254]", deniedBy: "metadata"),
        Case("[fd20:ce::254]", deniedBy: "metadata"), Case("168.63.129.16", deniedBy: "metadata"),
        Case("100.100.100.200", deniedBy: "metadata"), Case("192.0.0.192", deniedBy: "metadata"),
        Case("[::ffff:100.100.100.200]", deniedBy: "metadata"),
        Case("[64:ff9b::100.100.100.200]", deniedBy: "metadata"),
        Case("metadata.google.internal", at: "169.254.169.254", deniedBy: "link-local"),
        Case("rebound.test", at: "::ffff:a9fe:a9fe", deniedBy: "link-local"),
        Case("rebound.test", at: "64:ff9b::a9fe:a9fe", deniedBy: "link-local"),
        Case("rebound.test", at: "100.100.100.200", port: 443, deniedBy: "metadata"),
        Case("rebound.test", at: "fd00:ec2::254", port: 8080, deniedBy: "metadata"),
        Case("100.100.100.201"), Case("168.63.129.17"), Case("192.0.0.193"), Case("[fd00:ec2::255]"),
    ]

    @Test(
        "by default deny link-local addresses and metadata services, and nothing else", arguments: byDefault)
    func defaultsDenyLinkLocalAndMetadata(_ example: Case) {
        #expect(Self.judge(Self.rules(), example) == example.deniedBy)
    }

    static let atHome: [Case] = [
        Case("127.0.0.1", deniedBy: "loopback"), Case("127.255.255.254", deniedBy: "loopback"),
        Case("[::1]", deniedBy: "loopback"), Case("0.0.0.0", deniedBy: "loopback"),
        Case("[::]", deniedBy: "loopback"), Case("[::ffff:127.0.0.1]", deniedBy: "loopback"),
        Case("[::ffff:0.0.0.0]", deniedBy: "loopback"), Case("[64:ff9b::7f00:1]", deniedBy: "loopback"),
        Case("[64:ff9b::]", deniedBy: "loopback"), Case("localhost", at: "127.0.0.1", deniedBy: "loopback"),
        Case("localhost", at: "::1", deniedBy: "loopback"),
        Case("x.test", at: "0.0.0.0", deniedBy: "loopback"),
        Case("x.test", at: "::", deniedBy: "loopback"), Case("10.255.255.255", deniedBy: "private"),
        Case("172.31.255.255", deniedBy: "private"), Case("172.32.0.0"), Case("172.15.255.255"),
        Case("192.168.0.1", deniedBy: "private"), Case("192.169.0.1"),
        Case("100.127.255.255", deniedBy: "private"),
        Case("100.128.0.0"), Case("[fdff::1]", deniedBy: "private"), Case("[fc00::1]", deniedBy: "private"),
        Case("[fe00::1]"), Case("[fec0::1]", deniedBy: "private"), Case("[::2]"), Case("128.0.0.1"),
        Case("11.0.0.0"), Case("9.255.255.255"), Case("intranet.test", at: "10.1.2.3", deniedBy: "private"),
    ]

    @Test("deny loopback and private networks if they are configured to", arguments: atHome)
    func denyPrivateNetworksIfConfigured(_ example: Case) {
        let rules = Self.rules { $0.everyone.denyNetworks = ["loopback", "private"] }
        #expect(Self.judge(rules, example) == example.deniedBy)
    }

    static let names: [Case] = [
        Case("example.org", deniedBy: ".example.org"), Case("example.org.", deniedBy: ".example.org"),
        Case("a.example.org", deniedBy: ".example.org"), Case("a.b.example.org.", deniedBy: ".example.org"),
        Case("badexample.org"), Case("example.org.evil.test"), Case("org"), Case("xample.org"),
        Case("www.example.net", deniedBy: "www.example.net"), Case("example.net"), Case("a.www.example.net"),
        Case("xn--bcher-kva.example", deniedBy: "Bücher.example"),
        Case("smtp.test", port: 25, deniedBy: "any port 1-79"),
        Case("smtp.test", port: 79, deniedBy: "any port 1-79"),
        Case("smtp.test", port: 80), Case("192.0.2.1", port: 25, deniedBy: "any port 1-79"),
        Case("192.0.2.1"),
        Case("open.example.org"), Case("x.open.example.org"),
        Case("open.example.org", port: 25, deniedBy: ".example.org"),
        Case("203.0.113.9", deniedBy: "203.0.113.8/29"), Case("203.0.113.9", port: 443),
        Case("203.0.113.16"), Case("a.test", at: "203.0.113.9", deniedBy: "203.0.113.8/29"),
        Case("open.example.org", at: "203.0.113.9", deniedBy: "203.0.113.8/29"),
    ]

    @Test(
        "match names, domains, ports and exceptions, but an allowed name does not allow a denied address",
        arguments: names
    )
    func matchNamesDomainsAndPorts(_ example: Case) {
        let rules = Self.rules { egress in
            egress.everyone.denyHosts = [
                ".example.org", "WWW.example.net", "Bücher.example", "any port 1-79",
            ]
            egress.everyone.allowHosts = [".open.example.org port 80-65535"]
            egress.everyone.denyNetworks = ["203.0.113.8/29"]
            egress.everyone.allowNetworks = ["203.0.113.0/24 port 443"]
        }
        let denied = example.deniedBy == "www.example.net" ? "WWW.example.net" : example.deniedBy
        #expect(Self.judge(rules, example) == denied)
    }

    @Test("that allow only some hosts deny every other name and address")
    func denyAllButAllowedHosts() {
        let rules = Self.rules {
            $0.everyone.denyHosts = ["any"]
            $0.everyone.allowHosts = [".example.org"]
        }
        #expect(rules.decide(host: "www.example.org", port: 443) == .allowed)
        for host in ["example.com", "192.0.2.1", "[2001:db8::1]", "localhost"] {
            #expect(rules.decide(host: host, port: 443) != .allowed, "\(host)")
        }
        let addresses = Self.rules { $0.everyone.denyHosts = ["addresses"] }
        #expect(addresses.decide(host: "192.0.2.1", port: 80) != .allowed)
        #expect(addresses.decide(host: "[2001:db8::1]", port: 80) != .allowed)
        #expect(addresses.decide(host: "example.org", port: 80) == .allowed)
    }

    @Test("apply the user's lists first, then those of the groups, then everyone's")
    func applyUserBeforeGroups() {
        let rules = Self.rules { egress in
            egress.users["alice"] = Settings.Egress.Lists()
            egress.users["alice"]?.allowNetworks = ["192.0.2.1"]
            egress.users["bob"] = Settings.Egress.Lists()
            egress.users["bob"]?.allowNetworks = ["any"]
            egress.users["1000"] = Settings.Egress.Lists()
            egress.users["1000"]?.denyNetworks = ["192.0.2.4"]
            egress.groups["guests"] = Settings.Egress.Lists()
            egress.groups["guests"]?.denyNetworks = ["192.0.2.0/24"]
            egress.groups["staff"] = Settings.Egress.Lists()
            egress.groups["staff"]?.allowNetworks = ["192.0.2.2", "169.254.1.1", "192.0.2.4"]
            egress.groups["others"] = Settings.Egress.Lists()
            egress.groups["others"]?.denyNetworks = ["any"]
            egress.everyone.allowNetworks = ["192.0.2.3"]
        }
        func rule(_ host: String) -> String? {
            if case .denied(let rule) = rules.decide(host: host, port: 80) { "\(rule)" } else { nil }
        }
        #expect(rule("192.0.2.1") == nil, "the user's own goes before a group's")
        #expect(rule("192.0.2.2") == nil, "of the groups', what is allowed goes before what is denied")
        #expect(rule("192.0.2.3") == "“192.0.2.0/24” in egress.groups.guests.deny_networks")
        #expect(rule("192.0.2.4") == "“192.0.2.4” in egress.users.1000.deny_networks")
        #expect(rule("169.254.1.1") == nil)
        #expect(rule("169.254.1.2") == "“link-local” in egress.deny_networks")
        #expect(rule("198.51.100.1") == nil, "neither bob nor the others are asked about")
    }

    @Test(
        "for an unknown user apply everyone's lists and the denials of all groups, but no special permissions"
    )
    func strictestForUnknownUser() {
        var egress = Settings.Egress()
        egress.users["alice"] = Settings.Egress.Lists()
        egress.users["alice"]?.allowNetworks = ["any"]
        egress.groups["guests"] = Settings.Egress.Lists()
        egress.groups["guests"]?.denyNetworks = ["192.0.2.0/24"]
        egress.groups["guests"]?.allowNetworks = ["169.254.1.1"]
        egress.groups["staff"] = Settings.Egress.Lists()
        egress.groups["staff"]?.allowHosts = ["any"]
        egress.everyone.denyHosts = ["example.org"]
        let rules = egress.strictestRules()
        for host in ["192.0.2.1", "169.254.1.1", "example.org"] {
            #expect(rules.decide(host: host, port: 80) != .allowed, "\(host)")
        }
        #expect(rules.decide(host: "192.0.3.1", port: 80) == .allowed)
    }

    @Test("are unchanged after their transfer to a lane, and invalid text is not accepted")
    func surviveCompactForm() throws {
        let rules = Self.rules { egress in
            egress.everyone.allowHosts = ["Bücher.example", ".x.test port 1-2"]
            egress.groups["guests"] = Settings.Egress.Lists()
            egress.groups["guests"]?.denyNetworks = ["2001:db8::/32 port 443", "any"]
        }
        #expect(EgressRules(compact: rules.compact) == rules)
        #expect(EgressRules(compact: "")?.isEmpty == true && EgressRules().compact.isEmpty)
        for text in [
            "x", "+n egress", "+x egress any", "-n egress 10.0.0.0/33", "+h egress 10.0.0.1", "-n any",
        ] {
            #expect(EgressRules(compact: text) == nil, "\(text)")
        }
    }

    @Test("cost microseconds, however many there are")
    func costMicroseconds() throws {
        let entries = (0..<Settings.Egress.maximumEntries).map { "10.\($0).0.0/16 port 443" }
        let rules = Self.rules {
            $0.everyone.denyNetworks = entries
            $0.everyone.denyHosts = entries.indices.map { ".\($0).example.org" }
        }
        let address = try #require(IPAddress("192.0.2.1"))
        let time = ContinuousClock().measure {
            for _ in 0..<20 {
                #expect(rules.decide(host: "www.example.com", address: address, port: 443) == .allowed)
            }
        }
        // The bound is for a debug build on a busy machine, with 512 rules at once.
        #expect(time < .seconds(2), "\(time / 20) for each decision")
    }
}
