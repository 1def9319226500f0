import SluiceInterface
import TestKit
import Testing

extension Integration.Failures {
    /// Where a redirect may lead, and which fields the next request has.
    @Suite("Redirects")
    struct Redirects {
        static let pattern = Integration.Failures.pattern
        typealias Scene = Integration.Failures.Scene

        private static func redirect(
            _ connection: inout OriginConnection, to location: String, _ status: Int = 302
        )
            throws
        {
            try connection.respond("\(status) Elsewhere", headers: ["Location: \(location)"], body: [0])
        }

        /// `/n` redirects to `/n-1`, and `/0` has a body.
        private func stairs() throws -> BadOrigin {
            try BadOrigin { connection in
                let left = Int(connection.request.path.dropFirst()) ?? 0
                if left > 0 {
                    try Self.redirect(&connection, to: "/\(left - 1)", [301, 302, 303, 307, 308][left % 5])
                } else {
                    try connection.respond(pattern: Self.pattern, count: 1000)
                }
            }
        }

        @Test(
            "redirects are followed up to the configured limit, and one more fails the job",
            arguments: [20, 3, 0])
        func followsRedirectsUpToLimit(_ count: Int) throws {
            let scene = try Scene(count == 20 ? "" : "redirects.limit = \(count)\n")
            let origin = try stairs()
            try scene.service.fetch(origin.url("/\(count)"), expecting: Self.pattern).finishComplete(1000)
            #expect(origin.requests.map(\.target) == (0...count).reversed().map { "/\($0)" })
            try scene.fails(origin.url("/\(count + 1)"), .tooManyRedirects)
            #expect(origin.requests.count == 2 * (count + 1))
        }

        @Test(
            "a redirect to another scheme, or to a URL that is invalid or has credentials, is refused",
            arguments: [
                "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "javascript:1", "http:x", "//",
                "http://",
                "http://u:p@127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1%25lo]/",
            ])
        func refusesInvalidTargets(_ location: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin { try Self.redirect(&$0, to: location) }
            let job = try scene.fails(origin.url(), .redirectRefused)
            #expect(job.httpStatus == 302)
        }

        @Test("a redirect without a Location is refused, and its body is not delivered")
        func refusesRedirectWithoutLocation() throws {
            let scene = try Scene()
            let origin = try BadOrigin { try $0.respond("302 Elsewhere", body: Array("nothing".utf8)) }
            let job = try scene.fails(origin.url(), .redirectRefused)
            #expect(job.httpStatus == 302)
        }

        @Test("a redirect from https to http is refused by default; one from http to https is followed")
        func refusesDowngradeByDefault() throws {
            let target = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 1000) }
            let wires = try Wires { options in
                options.serverConfiguration = """
                    location /down { return 302 \(target.url()); }
                    location /up { return 302 https://localhost:$arg_port/file; }
                    """
            }
            try wires.nginx.serve("file", Self.pattern, count: 1000)
            for url in [wires.nginx.tlsURL("/down"), wires.nginx.http2URL("/down")] {
                try wires.service.fetch(url, expecting: Self.pattern)
                    .finish(failing: .redirectRefused, delivered: 0)
            }
            #expect(target.requests.isEmpty)
            // Without credentials, and only for a job that allows it, or that gives the digest of the body.
            try wires.service.fetch(wires.nginx.tlsURL("/down"), expecting: Self.pattern) {
                $0.allowDowngrade = true
                $0.headers = [HeaderField(name: "Authorization", value: "Bearer s3cret")]
            }.finishComplete(1000)
            #expect(target.requests.last?["Authorization"] == nil)
            try wires.service.fetch(wires.nginx.tlsURL("/down"), expecting: Self.pattern) {
                $0.digest = "sha256:" + String(repeating: "0", count: 64)
            }.finish(failing: .digestMismatch)
            try wires.service.fetch(
                wires.nginx.httpURL("/up?port=\(wires.nginx.http2Port)"), expecting: Self.pattern
            ).finishComplete(1000)
        }

        @Test(
            "a relative Location is resolved as RFC 3986 says",
            arguments: [
                ("sub/y", "/a/b/sub/y"), ("./y", "/a/b/y"), ("../y", "/a/y"), ("../../y", "/y"),
                ("../../../y", "/y"), ("/y", "/y"), ("?q=1", "/a/b/x?q=1"), ("y?q", "/a/b/y?q"),
                ("y#f", "/a/b/y"),
                (".", "/a/b/"), ("..", "/a/"), ("y/./z", "/a/b/y/z"), ("y/../z", "/a/b/z"),
                ("y;p", "/a/b/y;p"),
                ("a b", "/a/b/a%20b"),
            ])
        func resolvesRelativeLocation(_ location: String, _ target: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            origin.on("/a/b/x") { connection in
                if connection.request.target.contains("first") {
                    try Self.redirect(&connection, to: location)
                } else {
                    try connection.respond(pattern: Self.pattern, count: 100)
                }
            }
            try scene.service.fetch(origin.url("/a/b/x?first"), expecting: Self.pattern).finishComplete(100)
            #expect(origin.requests.last?.target == target)
        }

        @Test("credentials are not sent to another origin, nor after a return to the first; other fields are")
        func credentialsStayWithTheirOrigin() throws {
            let scene = try Scene("redirects.credential_fields = [\"X-Key\"]\n")
            let second = try BadOrigin(host: "127.0.0.2")
            let first = try BadOrigin()
            second.on("/there") { try Self.redirect(&$0, to: first.url("/back")) }
            first.on("/start") { try Self.redirect(&$0, to: "/same") }
            first.on("/same") { try Self.redirect(&$0, to: second.url("/there")) }
            first.on("/back") { try Self.redirect(&$0, to: "/end") }
            first.on("/end") { try $0.respond(pattern: Self.pattern, count: 100) }
            try scene.service.fetch(first.url("/start"), expecting: Self.pattern) {
                $0.headers = [
                    HeaderField(name: "Authorization", value: "Bearer s3cret"),
                    HeaderField(name: "Cookie", value: "a=b"), HeaderField(name: "X-Key", value: "k"),
                    HeaderField(name: "Accept", value: "text/plain"),
                ]
            }.finishComplete(100)
            for request in first.requests where ["/start", "/same"].contains(request.target) {
                #expect(request["Authorization"] == "Bearer s3cret", "\(request.raw)")
                #expect(request["Cookie"] == "a=b")
                #expect(request["X-Key"] == "k")
                #expect(request["Accept"] == "text/plain")
            }
            let stripped = second.requests + first.requests.filter { ["/back", "/end"].contains($0.target) }
            #expect(stripped.count == 3)
            for request in stripped {
                #expect(request["Authorization"] == nil, "\(request.raw)")
                #expect(request["Cookie"] == nil)
                #expect(request["X-Key"] == nil)
                #expect(request["Accept"] == "text/plain")
                #expect(request["Accept-Encoding"] == "identity")
            }
            let hosts = first.requests.compactMap { $0["Host"] }
            #expect(Set(hosts) == ["127.0.0.1:\(first.port)"])
            #expect(second.requests.first?["Host"] == "127.0.0.2:\(second.port)")
        }

        @Test("cookies that a redirect sets are sent within the same job only")
        func cookiesStayWithinJob() throws {
            let scene = try Scene("lanes.minimum = 1\nlanes.maximum = 1\n")
            let origin = try BadOrigin()
            let other = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            origin.on("/login") { connection in
                try connection.respond(
                    "302 Found",
                    headers: [
                        "Location: /in/a", "Set-Cookie: id=1; Path=/in", "Set-Cookie: own=new",
                        "Set-Cookie: s=1; Secure",
                    ])
            }
            origin.on("/in/a") { try Self.redirect(&$0, to: "/out") }
            origin.on("/out") { try Self.redirect(&$0, to: other.url("/")) }
            for _ in 0..<2 {
                try scene.service.fetch(origin.url("/login"), expecting: Self.pattern) {
                    $0.headers = [HeaderField(name: "Cookie", value: "own=old; mine=2")]
                }.finishComplete(100)
            }
            func cookies(_ path: String) -> [String?] {
                origin.requests.filter { $0.target == path }.map { $0["Cookie"] }
            }
            #expect(cookies("/login") == ["own=old; mine=2", "own=old; mine=2"])
            #expect(cookies("/in/a") == ["mine=2; id=1; own=new", "mine=2; id=1; own=new"])
            #expect(cookies("/out") == ["mine=2; own=new", "mine=2; own=new"])
            // The same host at another port: cookies do not distinguish ports (RFC 6265 §8.5), the caller's fields
            // do.
            #expect(other.requests.map { $0["Cookie"] } == ["own=new", "own=new"])
        }

        @Test("another port is another origin")
        func otherPortIsOtherOrigin() throws {
            let scene = try Scene()
            let second = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            let first = try BadOrigin { try Self.redirect(&$0, to: second.url("/")) }
            try scene.service.fetch(first.url(), expecting: Self.pattern) {
                $0.headers = [HeaderField(name: "Authorization", value: "Bearer s3cret")]
            }.finishComplete(100)
            #expect(second.requests.count == 1)
            #expect(second.requests.first?["Authorization"] == nil)
        }

        @Test("a redirect with an endless body is followed, and uses bounded memory")
        func followsRedirectWithEndlessBody() throws {
            let scene = try Scene()
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            origin.on("/endless") { connection in
                try connection.sendHead(
                    "302 Elsewhere", headers: ["Location: /end", "Transfer-Encoding: chunked"])
                let chunk = [UInt8](repeating: 65, count: 1 << 16)
                while true { try connection.sendChunk(chunk) }
            }
            let job = try scene.service.fetch(origin.url("/endless"), expecting: Self.pattern) {
                $0.headTimeoutSeconds = 60
            }
            let lane = try job.lane()
            let ended = try job.finishComplete(100)
            let memory = (try? MemoryProbe(processID: lane).privatePages) ?? 0
            print(
                "figure: a redirect's endless body: \(ended.outcome?.code.rawValue ?? "-"), \(origin.bytesSent >> 20) "
                    + "MiB sent, lane has \(memory >> 20) MiB afterwards")
            #expect(memory < 30 << 20)
            try scene.isWell()
        }

        @Test("a flood of header fields fails the job, and the next job succeeds")
        func floodOfHeaderFieldsFailsJob() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\n")
                let field = "X-Flood: \(String(repeating: "a", count: 8000))\r\n"
                while true { try connection.send(field) }
            }
            let job = try scene.service.fetch(origin.url(), expecting: Self.pattern) {
                $0.headTimeoutSeconds = 60
            }.finish()
            #expect(job.state == .failed, "\(job)")
            #expect(job.bytesDelivered == 0)
            print(
                "figure: a flood of header fields: \(job.outcome?.code.rawValue ?? "-"), \(origin.bytesSent >> 10) KiB sent"
            )
            try scene.isWell()
        }
    }
}
