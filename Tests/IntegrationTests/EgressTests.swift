import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// The addresses to which jobs may connect. Addresses of 127.0.0.0/8 stand for other networks.
    @Suite("Egress")
    struct Egress {
        static let pattern = Pattern(seed: 16)

        /// Origins at two addresses with one port: 127.0.0.2, which is allowed, and 127.0.0.3, which is not.
        private struct Scene {
            static let rules = "egress.deny_networks = [\"127.0.0.3\", \"::1\"]\n"
            let allowed: BadOrigin
            let denied: BadOrigin
            let service: TestService
            let directory: TemporaryDirectory

            init(_ settings: String = Scene.rules, hosts: String = "", retries: Int = 3) throws {
                allowed = try BadOrigin(host: "127.0.0.2")
                denied = try BadOrigin(host: "127.0.0.3", port: allowed.port)
                for origin in [allowed, denied] {
                    origin.onOther { try $0.respond(pattern: Egress.pattern, count: 1000) }
                }
                directory = try TemporaryDirectory("sluice-hosts")
                var options = TestService.Options()
                options.settings =
                    "retries.retries = \(retries)\nretries.base_seconds = 0.05\nlanes.minimum = 1\n"
                    + settings
                if !hosts.isEmpty {
                    options.replacing = (try directory.write(hosts, to: "hosts"), "/etc/hosts")
                }
                service = try TestService(options)
            }

            func url(_ host: String) -> String { "http://\(host):\(allowed.port)/" }

            /// Writes to the same file: it is mounted over the service's /etc/hosts, so a new file would not be seen.
            func write(hosts: String) throws {
                let file = try #require(fopen(directory.file("hosts"), "w"))
                fputs(hosts, file)
                fclose(file)
            }

            @discardableResult
            func fails(
                _ url: String, naming rule: String, sourceLocation: SourceLocation = #_sourceLocation
            ) throws -> Job {
                let job = try service.fetch(url, expecting: nil).finish(
                    failing: .addressDenied, delivered: 0, sourceLocation: sourceLocation)
                #expect(job.attempts == 1, "\(job)", sourceLocation: sourceLocation)
                let message = job.outcome?.message ?? ""
                #expect(message.contains(rule), "\(message)", sourceLocation: sourceLocation)
                return job
            }

            func succeeds(_ url: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
                try service.fetch(url, expecting: Egress.pattern).finishComplete(
                    1000, sourceLocation: sourceLocation)
            }
        }

        @Test("the lane does not connect to a denied address, in whatever form it is written")
        func deniesAddressInEveryForm() throws {
            let scene = try Scene()
            try scene.succeeds(scene.allowed.url())
            // The service refuses forms that are not canonical before a lane sees them.
            for host in ["127.0.0.3", "[::ffff:127.0.0.3]", "[64:ff9b::7f00:3]", "[::1]", "[::]"] {
                try scene.fails(scene.url(host), naming: "in egress.deny_networks")
            }
            #expect(scene.denied.connections == 0)
            #expect(try scene.service.status().lanes.died == 0)
            // The address comes from the user's own URL. It is in the journal as an address, too.
            #expect(scene.service.log.contains("connection denied by the egress rules"))
            #expect(scene.service.log.contains("127.0.0.3"))
        }

        @Test(
            "0.0.0.0 and :: count as loopback; link-local addresses and metadata services are denied by default"
        )
        func deniesLinkLocalByDefault() throws {
            let scene = try Scene("egress.deny_networks = [\"loopback\", \"link-local\", \"metadata\"]\n")
            for host in ["0.0.0.0", "[::]", "127.0.0.1", "[::1]", "localhost", "127.0.0.2"] {
                try scene.fails(scene.url(host), naming: "“loopback” in egress.deny_networks")
            }
            let ordinary = try Scene("")
            for host in [
                "169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "168.63.129.16", "100.100.100.200",
            ] {
                try ordinary.fails("http://\(host)/", naming: "in egress.deny_networks")
            }
            try ordinary.succeeds(ordinary.url("127.0.0.2"))
        }

        @Test(
            "the outcome names the host and the rule, and the log names the address",
            .enabled(if: Trust.isAvailable))
        func outcomeNamesHostAndRule() throws {
            let scene = try Scene(hosts: "127.0.0.3 inside.test\n")
            let job = try scene.fails(scene.url("inside.test"), naming: "“127.0.0.3” in egress.deny_networks")
            #expect(job.outcome?.message.contains("inside.test:\(scene.allowed.port)") == true)
            let word = try Scene("egress.deny_networks = [\"loopback\"]\n", hosts: "127.0.0.3 inside.test\n")
            let other = try word.fails(word.url("inside.test"), naming: "“loopback” in egress.deny_networks")
            #expect(other.outcome?.message.contains("127.0.0.3") == false)
            #expect(word.service.log.contains("127.0.0.3"))
        }

        @Test("of several addresses only the allowed ones are used", .enabled(if: Trust.isAvailable))
        func usesOnlyAllowedAddresses() throws {
            let scene = try Scene(
                hosts:
                    "127.0.0.3 first.test\n127.0.0.2 first.test\n127.0.0.2 last.test\n127.0.0.3 last.test\n"
                    + "::1 mixed.test\n127.0.0.2 mixed.test\n127.0.0.3 none.test\n::1 none.test\n")
            for host in ["first.test", "last.test", "mixed.test"] { try scene.succeeds(scene.url(host)) }
            try scene.fails(scene.url("none.test"), naming: "in egress.deny_networks")
            #expect(scene.denied.connections == 0)
        }

        @Test(
            "if the allowed addresses fail, that failure is the outcome, and the job is retried",
            .enabled(if: Trust.isAvailable))
        func retriesWhenAllowedAddressesFail() throws {
            // Nothing listens at 127.0.0.4.
            let scene = try Scene(hosts: "127.0.0.3 half.test\n127.0.0.4 half.test\n", retries: 1)
            let job = try scene.service.fetch(scene.url("half.test"), expecting: nil)
                .finish(failing: .connectionRefused, delivered: 0)
            #expect(job.attempts == 2, "\(job)")
            #expect(scene.denied.connections == 0)
        }

        @Test(
            "a name that resolves to a denied address at its second lookup is denied then",
            .enabled(if: Trust.isAvailable))
        func deniesReboundName() throws {
            let scene = try Scene(hosts: "127.0.0.2 turns.test\n", retries: 50)
            // The lookup changes in a redirect that closes its connection: the next request finds the other address.
            let path = scene.directory.file("hosts")
            scene.allowed.on("/turn") { connection in
                guard let file = fopen(path, "w") else { return }
                fputs("127.0.0.3 turns.test\n", file)
                fclose(file)
                try connection.respond(
                    "302 Found", headers: ["Location: /after", "Connection: close"], body: [])
                connection.close()
            }
            let job = try scene.fails(scene.url("turns.test") + "turn", naming: "egress.deny_networks")
            #expect(job.httpStatus == 302)
            // The lookup changes between two attempts: at first no server listens there.
            try scene.write(hosts: "127.0.0.4 turns.test\n")
            let retried = try scene.service.fetch(scene.url("turns.test"), expecting: nil)
            try eventually("an attempt has failed") { try retried.now().attempts > 1 }
            try scene.write(hosts: "127.0.0.3 turns.test\n")
            let ended = try retried.finish(failing: .addressDenied, delivered: 0)
            #expect(ended.attemptLog.first?.code == .connectionRefused)
            #expect(scene.denied.connections == 0)
        }

        @Test(
            "a redirect to a denied address, name or port is not followed",
            .enabled(if: Trust.isAvailable))
        func deniesRedirectTargets() throws {
            let scene = try Scene(
                Scene.rules + "egress.deny_hosts = [\".corp.test\", \"any port 1-79\"]\n",
                hosts: "127.0.0.3 inside.test\n127.0.0.2 a.corp.test\n127.0.0.2 fine.test\n")
            let port = scene.allowed.port
            func leads(to target: String) {
                scene.allowed.on("/from") { connection in
                    try connection.respond("302 Found", headers: ["Location: \(target)"], body: [0])
                }
            }
            let from = scene.allowed.url("/from")
            for (target, rule) in [
                ("http://127.0.0.3:\(port)/", "“127.0.0.3” in egress.deny_networks"),
                ("http://0x7f.0.0.3:\(port)/", "“127.0.0.3” in egress.deny_networks"),
                ("http://2130706435:\(port)/", "“127.0.0.3” in egress.deny_networks"),
                ("http://inside.test:\(port)/", "“127.0.0.3” in egress.deny_networks"),
                ("http://a.corp.test:\(port)/", "“.corp.test” in egress.deny_hosts"),
                ("//A.CORP.TEST./", "“.corp.test” in egress.deny_hosts"),
                ("http://fine.test:25/", "“any port 1-79” in egress.deny_hosts"),
            ] {
                leads(to: target)
                let job = try scene.fails(from, naming: rule)
                #expect(job.httpStatus == 302, "\(target)")
            }
            leads(to: "http://fine.test:\(port)/")
            try scene.succeeds(from)
            #expect(scene.denied.connections == 0)
        }

        @Test(
            "a reload changes the rules, and a kept connection is not used once its address is denied",
            .enabled(if: Trust.isAvailable))
        func reloadDeniesKeptConnection() throws {
            let scene = try Scene(
                "lanes.maximum = 1\negress.deny_networks = []\n", hosts: "127.0.0.3 inside.test\n")
            let url = scene.url("inside.test")
            for _ in 0..<2 { try scene.succeeds(url) }
            #expect(scene.denied.connections == 1)
            func reload(_ rules: String) throws {
                let before = scene.service.log.count
                try scene.service.directory.write(
                    "lanes.minimum = 1\nlanes.maximum = 1\n" + rules, to: "sluiced.toml")
                scene.service.program.signal(SIGHUP)
                try eventually("the settings were read") {
                    scene.service.log.dropFirst(before).contains("settings read again")
                }
            }
            try reload(Scene.rules)
            try scene.fails(url, naming: "“127.0.0.3” in egress.deny_networks")
            try scene.fails(scene.denied.url(), naming: "“127.0.0.3” in egress.deny_networks")
            try scene.succeeds(scene.allowed.url())
            #expect(scene.denied.requests.count == 2 && scene.denied.connections == 1)
            try reload("egress.deny_networks = []\n")
            try scene.succeeds(url)
            #expect(try scene.service.status().lanes.died == 0)
        }

        @Test(
            "a kept connection to another name is not used for a denied host",
            arguments: Wire.available)
        func neverCoalescesForDeniedHost(_ wire: Wire) throws {
            // One certificate, one address, one port: a browser would use one HTTP/2 connection for both hosts.
            let wires = try Wires(
                "lanes.maximum = 1\nlanes.minimum = 1\negress.deny_hosts = [\"addresses\"]\n")
            try wires.nginx.serve("file", Self.pattern, count: 1000)
            let port = wires.port(wire)
            let scheme = wire == .http ? "http" : "https"
            try wires.service.fetch("\(scheme)://localhost:\(port)/file", expecting: Self.pattern)
                .finishComplete(1000)
            let job = try wires.service.fetch("\(scheme)://127.0.0.1:\(port)/file", expecting: nil)
                .finish(failing: .addressDenied, delivered: 0)
            #expect(job.outcome?.message.contains("“addresses” in egress.deny_hosts") == true)
            #expect(try wires.nginx.accessLog().count == 1)
        }

        @Test(
            "the rules of a group or a user apply to that group or user only",
            .enabled(if: geteuid() == 0))
        func appliesRulesPerUserAndGroup() throws {
            let scene = try Scene(
                """
                [egress]
                deny_networks = ["127.0.0.3"]
                [egress.users.0]
                allow_networks = ["127.0.0.3"]
                [egress.users.nobody]
                deny_networks = ["127.0.0.2"]
                [egress.groups.root]
                deny_hosts = ["example.test"]
                """)
            try scene.succeeds(scene.denied.url())
            try scene.fails("http://example.test/", naming: "“example.test” in egress.groups.root.deny_hosts")
            let nobody = OtherUser(TestService.nobody, scene.service)
            for (origin, rule) in [
                (scene.allowed, "“127.0.0.2” in egress.users.nobody.deny_networks"),
                (scene.denied, "“127.0.0.3” in egress.deny_networks"),
            ] {
                let job = try nobody.fetch(origin.url(), expecting: Self.pattern)
                    .finish(failing: .addressDenied, delivered: 0)
                #expect(job.outcome?.message.contains(rule) == true, "\(job)")
            }
            #expect(scene.denied.connections == 1 && scene.allowed.connections == 0)
        }
    }

    /// Behind a proxy the proxy's address is checked, and the target by its name.
    @Suite("Egress by way of a proxy", .enabled(if: Trust.isAvailable))
    struct EgressProxy {
        private func job(
            _ settings: String, to url: (Nginx) -> String = { $0.tlsURL("/file") },
            _ check: (TestJob, ConnectProxy, Nginx) throws -> Void
        ) throws {
            let authority = try TestCA()
            var nginxOptions = NginxOptions()
            nginxOptions.certificate = authority[.good]
            let nginx = try Nginx(nginxOptions)
            try nginx.serve("file", Egress.pattern, count: 1000)
            let proxy = try ConnectProxy { _ in .forward }
            let service = try TestService(
                TestService.Options(
                    settings: settings, authority: authority.certificate, retries: 2,
                    environment: ["https_proxy": proxy.url]))
            try check(try service.fetch(url(nginx), expecting: Egress.pattern), proxy, nginx)
        }

        @Test("the lane does not connect to a proxy whose address is denied, and the outcome names the proxy")
        func deniesProxyByAddress() throws {
            try job("egress.deny_networks = [\"127.0.0.1\"]\n") { job, proxy, _ in
                let ended = try job.finish(failing: .addressDenied, delivered: 0)
                #expect(ended.attempts == 1)
                let message = ended.outcome?.message ?? ""
                #expect(message.contains("the proxy 127.0.0.1:\(proxy.port)"), "\(message)")
                #expect(message.contains("localhost"), "\(message)")
                #expect(proxy.requests.isEmpty)
            }
        }

        @Test(
            "the proxy is not asked for a target whose name is denied, or that is written as a denied address"
        )
        func deniesTargetBehindProxy() throws {
            for (rule, host) in [
                ("egress.deny_hosts = [\"localhost\"]\n", "localhost"),
                ("egress.deny_networks = [\"127.0.0.2\"]\n", "127.0.0.2"),
            ] {
                try job(rule, to: { "https://\(host):\($0.tlsPort)/file" }) { job, proxy, _ in
                    let ended = try job.finish(failing: .addressDenied, delivered: 0)
                    #expect(ended.attempts == 1)
                    #expect(proxy.requests.isEmpty)
                }
            }
        }

        @Test("the addresses of the target's name are not checked: the proxy looks them up")
        func leavesTargetLookUpToProxy() throws {
            // The machine would find ::1 and 127.0.0.1. Rules about ports of addresses apply to the proxy's address.
            try job("egress.deny_networks = [\"::1\", \"any port 1-79\"]\n") { job, proxy, nginx in
                try job.finishComplete(1000)
                #expect(proxy.targets == ["localhost:\(nginx.tlsPort)"])
            }
        }
    }
}
