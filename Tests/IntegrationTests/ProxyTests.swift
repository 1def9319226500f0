import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// Behind `https_proxy` everything works as without it, and errors of the proxy are reported as the proxy's.
    @Suite("Proxy", .enabled(if: Trust.isAvailable))
    struct Proxy {
        static let pattern = Pattern(seed: 61)
        static let soon = "retries.base_seconds = 0.05\nretries.longest_seconds = 0.1\n"

        /// An nginx with TLS, a proxy, and a service that uses the proxy.
        private struct Scene {
            let authority: TestCA
            let nginx: Nginx
            let proxy: ConnectProxy
            let service: TestService

            init(
                _ settings: String = Proxy.soon, quality: TestCA.Quality = .good, trusting: Bool = true,
                proxy answer: @escaping @Sendable (Int) -> ConnectProxy.Answer = { _ in .forward },
                nginx change: (inout NginxOptions) -> Void = { _ in }
            ) throws {
                authority = try TestCA()
                var options = NginxOptions()
                options.certificate = authority[quality]
                change(&options)
                nginx = try Nginx(options)
                proxy = try ConnectProxy(answer)
                service = try Self.service(
                    settings, proxy: proxy.url, authority: trusting ? authority.certificate : nil)
            }

            static func service(_ settings: String, proxy: String, authority: String?) throws -> TestService {
                try TestService(
                    TestService.Options(
                        settings: settings, authority: authority, environment: ["https_proxy": proxy]))
            }

            /// The URL behind the proxy, over HTTP/1.1 or HTTP/2.
            func url(_ path: String, _ wire: Wire) -> String {
                wire == .http2 ? nginx.http2URL(path) : nginx.tlsURL(path)
            }

            /// Expects that a job fails with one of these codes, after this number of attempts, and that its message
            /// names the proxy.
            @discardableResult
            func fails(
                _ codes: [String], attempts: Int, retries: Int = 2,
                sourceLocation: SourceLocation = #_sourceLocation
            ) throws -> Job {
                let job = try service.fetchWhole(nginx.tlsURL("/file")) { parameters in
                    parameters.retries = retries
                    parameters.connectTimeoutSeconds = 1
                }.job
                let code = job.outcome?.code.rawValue ?? "none"
                #expect(codes.contains(code), "\(job)", sourceLocation: sourceLocation)
                #expect(job.attempts == attempts, "\(job)", sourceLocation: sourceLocation)
                #expect(
                    job.outcome?.message.contains("127.0.0.1:\(proxy.port)") == true, "\(job)",
                    sourceLocation: sourceLocation)
                #expect(job.bytesDelivered == 0, sourceLocation: sourceLocation)
                return job
            }
        }

        static let wires: [Wire] = [.tls, .http2]

        @Test("a body comes through the proxy", arguments: wires)
        func bodyComesThroughProxy(_ wire: Wire) throws {
            let scene = try Scene()
            try scene.nginx.serve("file", Self.pattern, count: 1_000_000)
            for _ in 0..<3 {
                try scene.service.fetch(scene.url("/file", wire), expecting: Self.pattern)
                    .finishComplete(1_000_000)
            }
            #expect(
                Set(scene.proxy.targets) == [
                    "localhost:\(wire == .http2 ? scene.nginx.http2Port : scene.nginx.tlsPort)"
                ])
        }

        @Test("a body that breaks off behind the proxy continues at its next byte", arguments: wires)
        func continuesBrokenBody(_ wire: Wire) throws {
            let scene = try Scene { number in number < 2 ? .cut(after: 600_000) : .forward }
            try scene.nginx.serve("file", Self.pattern, count: 4_000_000)
            let job = try scene.service.fetch(scene.url("/file", wire), expecting: Self.pattern) {
                $0.retries = 3
            }.finish()
            #expect(job.outcome?.code == .complete, "\(job)")
            #expect(job.bytesDelivered == 4_000_000)
            #expect(job.attempts == 3, "\(job)")
            #expect(job.attemptLog.map(\.httpStatus) == [200, 206, 206], "\(job)")
        }

        @Test(
            "a body of a server without ranges is fetched again, and the bytes already delivered are dropped"
        )
        func refetchesBodyWithoutRanges() throws {
            let scene = try Scene(
                proxy: { number in number == 0 ? .cut(after: 600_000) : .forward },
                nginx: { $0.serverConfiguration = "max_ranges 0;" })
            try scene.nginx.serve("file", Self.pattern, count: 2_000_000)
            let job = try scene.service.fetch(scene.nginx.tlsURL("/file"), expecting: Self.pattern) {
                $0.retries = 3
            }.finish()
            #expect(job.outcome?.code == .complete, "\(job)")
            #expect(job.bytesDelivered == 2_000_000)
            #expect(job.attemptLog.map(\.httpStatus) == [200, 200], "\(job)")
        }

        @Test(
            "a job whose consumer does not read is parked behind the proxy, and continues later",
            arguments: wires)
        func parksAndContinuesThroughProxy(_ wire: Wire) throws {
            let scene = try Scene(Parking.soon)
            try scene.nginx.serve("file", Self.pattern, count: Parking.size)
            let consumer = try SteppedConsumer(
                scene.service, scene.url("/file", wire), expecting: Self.pattern)
            try consumer.read(1000)
            try consumer.waitFor(.parked)
            try eventually("the proxy has no connection") { scene.proxy.openConnections == 0 }
            let job = try consumer.readToEnd()
            #expect(job.outcome?.code == .complete, "\(job)")
            #expect(consumer.count == Parking.size)
            #expect(job.attemptLog.map(\.httpStatus) == [200, 206], "\(job)")
        }

        @Test(
            "a bad certificate behind the proxy is a certificate error",
            arguments: [
                (TestCA.Quality.expired, OutcomeCode.tlsCertificateExpired), (.wrongHost, .tlsWrongHost),
                (.selfSigned, .tlsUntrusted),
            ])
        func reportsBadCertificateBehindProxy(_ quality: TestCA.Quality, _ code: OutcomeCode) throws {
            let scene = try Scene(quality: quality)
            try scene.service.fetch(scene.nginx.tlsURL("/"), expecting: nil) { $0.retries = 2 }
                .finish(failing: code, delivered: 0)
            #expect(scene.proxy.targets.count == 1)
        }

        @Test("an untrusted authority behind the proxy is a certificate error")
        func reportsUntrustedAuthorityBehindProxy() throws {
            let scene = try Scene(trusting: false)
            try scene.service.fetch(scene.nginx.tlsURL("/"), expecting: nil)
                .finish(failing: .tlsUntrusted, delivered: 0)
        }

        @Test("an error status of the origin is reported as the origin's, not as the proxy's")
        func attributesStatusToOrigin() throws {
            let scene = try Scene(nginx: { $0.serverConfiguration = "location /no { return 403; }" })
            let job = try scene.service.fetch(scene.nginx.tlsURL("/no"), expecting: nil)
                .finish(failing: .httpStatus, delivered: 0)
            #expect(job.httpStatus == 403)
        }

        @Test(
            "a proxy that refuses is reported as such, and is not asked again",
            arguments: ["403 Forbidden", "407 Who are you"])
        func reportsRefusalWithoutRetry(_ status: String) throws {
            let scene = try Scene { _ in
                .refuse(status, headers: ["Proxy-Authenticate: Basic realm=\"p\""])
            }
            let job = try scene.fails(["proxyRefused"], attempts: 1)
            #expect(job.outcome?.message.contains(status.prefix(3)) == true, "\(job)")
            #expect(job.httpStatus == Int(status.prefix(3)), "\(job)")
        }

        @Test(
            "a proxy that answers 502, 503 or 504 is asked again",
            arguments: ["502 Bad Gateway", "503 Busy", "504 Slow"])
        func retriesProxyInTrouble(_ status: String) throws {
            let scene = try Scene { number in number < 2 ? .refuse(status) : .forward }
            try scene.nginx.serve("file", Self.pattern, count: 1000)
            let job = try scene.service.fetch(scene.nginx.tlsURL("/file"), expecting: Self.pattern) {
                $0.retries = 3
            }.finishComplete(1000)
            #expect(job.attempts == 3, "\(job)")
            #expect(job.attemptLog.first?.code?.rawValue == "proxyRefused", "\(job)")
            let never = try Scene { _ in .refuse(status) }
            try never.fails(["proxyRefused"], attempts: 3)
        }

        @Test("a proxy that closes the connection, or gives no valid answer, is reported as such")
        func reportsProxyWithoutValidAnswer() throws {
            try Scene { _ in .close }.fails(["proxyUnreachable"], attempts: 3)
            try Scene { _ in .say("SSH-2.0-x\r\n") }.fails(["proxyRefused", "proxyUnreachable"], attempts: 3)
            try Scene { _ in .say("HTTP/1.1 200 OK\r\n") }.fails(
                ["proxyRefused", "proxyUnreachable"], attempts: 3)
        }

        @Test("a silent proxy is reported as such when the time to connect is over")
        func reportsSilentProxy() throws {
            try Scene { _ in .beSilent }.fails(
                ["proxyUnreachable", "connectTimeout"], attempts: 2, retries: 1)
        }

        @Test("a tunnel that carries no bytes ends as connectTimeout")
        func silentTunnelEndsAsConnectTimeout() throws {
            let scene = try Scene { _ in .forwardNothing }
            let job = try scene.service.fetchWhole(scene.nginx.tlsURL("/file")) {
                $0.connectTimeoutSeconds = 1
                $0.silenceTimeoutSeconds = 5
                $0.retries = 0
            }.job
            #expect(job.outcome?.code == .connectTimeout, "\(job)")
        }

        @Test(
            "a proxy without a listener or without an address is reported as unreachable, and is asked again")
        func retriesUnreachableProxy() throws {
            let port = try Loopback.freePort()
            for proxy in ["http://127.0.0.1:\(port)", "http://sluice.invalid:3128"] {
                let service = try Scene.service(Self.soon, proxy: proxy, authority: nil)
                let job = try service.fetchWhole("https://127.0.0.1:1/") { $0.retries = 2 }.job
                #expect(job.outcome?.code.rawValue == "proxyUnreachable", "\(job)")
                #expect(job.outcome?.message.contains(proxy.dropFirst(7)) == true, "\(job)")
                #expect(job.attempts == 3, "\(job)")
            }
        }

        @Test("a proxy that comes back is used again")
        func usesProxyThatComesBack() throws {
            let scene = try Scene { number in number == 0 ? .close : .forward }
            try scene.nginx.serve("file", Self.pattern, count: 1000)
            let job = try scene.service.fetch(scene.nginx.tlsURL("/file"), expecting: Self.pattern) {
                $0.retries = 1
            }.finishComplete(1000)
            #expect(job.attempts == 2)
        }
    }
}
