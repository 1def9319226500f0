import SluiceInterface
import TestKit
import Testing

extension Integration.Failures {
    /// Where a redirect may lead, and what goes along.
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

        /// `/n` redirects to `/n-1`, and `/0` is a body.
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

        @Test("ten redirects are followed, eleven are not")
        func ten() throws {
            let scene = try Scene()
            let origin = try stairs()
            try scene.service.fetch(origin.url("/10"), expecting: Self.pattern).finishComplete(1000)
            #expect(origin.requests.map(\.target) == (0...10).reversed().map { "/\($0)" })
            try scene.fails(origin.url("/11"), .tooManyRedirects)
            #expect(origin.requests.count == 22)
        }

        @Test(
            "a redirect to another scheme, to nowhere, or to what is no URL, is refused",
            arguments: [
                "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "javascript:1", "http:x", "//",
                "http://",
                "http://u:p@127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1%25lo]/",
            ])
        func refused(_ location: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin { try Self.redirect(&$0, to: location) }
            let job = try scene.fails(origin.url(), .redirectRefused)
            #expect(job.httpStatus == 302)
        }

        @Test("a redirect without a Location is not a body")
        func noLocation() throws {
            let scene = try Scene()
            let origin = try BadOrigin { try $0.respond("302 Elsewhere", body: Array("nothing".utf8)) }
            let job = try scene.fails(origin.url(), .redirectRefused)
            #expect(job.httpStatus == 302)
        }

        @Test("https to http is refused, http to https is followed")
        func downgrade() throws {
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
        func relative(_ location: String, _ target: String) throws {
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

        @Test("the caller's fields stay with their origin, and never come back")
        func fields() throws {
            let scene = try Scene()
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
                #expect(!request.raw.contains("text/plain"))
                #expect(request["Accept-Encoding"] == "identity")
            }
            let hosts = first.requests.compactMap { $0["Host"] }
            #expect(Set(hosts) == ["127.0.0.1:\(first.port)"])
            #expect(second.requests.first?["Host"] == "127.0.0.2:\(second.port)")
        }

        @Test("another port is another origin")
        func otherPort() throws {
            let scene = try Scene()
            let second = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            let first = try BadOrigin { try Self.redirect(&$0, to: second.url("/")) }
            try scene.service.fetch(first.url(), expecting: Self.pattern) {
                $0.headers = [HeaderField(name: "Authorization", value: "Bearer s3cret")]
            }.finishComplete(100)
            #expect(second.requests.count == 1)
            #expect(second.requests.first?["Authorization"] == nil)
        }

        @Test("a redirect with an endless body ends, and costs bounded memory")
        func endlessBody() throws {
            let scene = try Scene()
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            origin.on("/endless") { connection in
                try connection.sendHead(
                    "302 Elsewhere", headers: ["Location: /end", "Transfer-Encoding: chunked"])
                let chunk = [UInt8](repeating: 65, count: 1 << 16)
                while true { try connection.sendChunk(chunk) }
            }
            let job = try scene.service.fetch(origin.url("/endless"), expecting: Self.pattern) {
                $0.connectTimeoutSeconds = 3
            }
            let lane = try job.lane()
            let ended = try job.finish()
            #expect(ended.outcome?.code != .complete || ended.bytesDelivered == 100, "\(ended)")
            let memory = (try? MemoryProbe(processID: lane).privatePages) ?? 0
            print(
                "figure: a redirect's endless body: \(ended.outcome?.code.rawValue ?? "-"), \(origin.bytesSent >> 20) "
                    + "MiB sent, lane has \(memory >> 20) MiB afterwards")
            #expect(memory < 700 << 20)
            try scene.isWell()
        }

        @Test("a flood of header fields ends as a failure, within limits")
        func headerFlood() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\n")
                let field = "X-Flood: \(String(repeating: "a", count: 8000))\r\n"
                while true { try connection.send(field) }
            }
            let job = try scene.service.fetch(origin.url(), expecting: Self.pattern) {
                $0.connectTimeoutSeconds = 5
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
