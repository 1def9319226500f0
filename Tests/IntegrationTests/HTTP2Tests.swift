import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Behaviour that exists only with HTTP/2.
    @Suite("HTTP/2", .enabled(if: Trust.isAvailable))
    struct HTTP2 {
        static let pattern = Pattern(seed: 2)

        @Test("trailers are not part of the body, even if the body is empty")
        func excludesTrailersFromBody() throws {
            let wires = try Wires { options in
                options.serverConfiguration = "add_trailer X-Sum 1 always;"
            }
            for size in [0, 100_000] {
                try wires.nginx.serve("\(size)", Self.pattern, count: size)
                for wire in [Wire.http2, .tls] {
                    try wires.service.fetch(wires.url("/\(size)", over: wire), expecting: Self.pattern)
                        .finishComplete(size)
                }
            }
            #expect(try wires.service.status().lanes.died == 0)
        }

        @Test("a job that asks for HTTP/1.1 gets it, before and after a job that does not")
        func usesHTTP1OnRequest() throws {
            let wires = try Wires("lanes.minimum = 1\nlanes.maximum = 1\n")
            try wires.nginx.serve("file", Self.pattern, count: 1000)
            for wantsOld in [true, false, true] {
                try wires.service.fetch(wires.url("/file", over: .http2), expecting: Self.pattern) {
                    $0.http1 = wantsOld
                }.finishComplete(1000)
            }
            let protocols = try wires.nginx.accessLog().map { String($0.split(separator: " ")[2]) }
            #expect(protocols.first == "HTTP/1.1" && protocols.last == "HTTP/1.1", "\(protocols)")
        }

        @Test("a body without a length is complete, also after redirects over several hosts")
        func bodyWithoutLengthIsComplete() throws {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                try connection.sendChunk(Self.pattern.bytes(0..<100_000))
                try connection.sendChunk([])
            }
            let wires = try Wires { options in
                options.serverConfiguration = """
                    location /chunked { proxy_http_version 1.1; proxy_pass http://127.0.0.1:\(origin.port)/; }
                    """
            }
            let target = wires.url("/chunked", over: .http2)
            let second = try BadOrigin { try $0.respond("302 Found", headers: ["Location: \(target)"]) }
            let first = try BadOrigin { try $0.respond("302 Found", headers: ["Location: \(second.url())"]) }
            for url in [target, first.url()] {
                try wires.service.fetch(url, expecting: Self.pattern).finishComplete(100_000)
            }
        }

        @Test("an origin that closes the connection before it answers fails as connectionLost")
        func closeBeforeAnswerLosesConnection() throws {
            let origin = try BadOrigin { $0.close() }
            let wires = try Wires("retries.retries = 1\nretries.base_seconds = 0\n") { options in
                // 444 closes the stream's connection without an answer.
                options.serverConfiguration = "location /gone { return 444; }"
            }
            let job = try wires.service.fetch(wires.url("/gone", over: .http2))
                .finish(failing: .connectionLost, delivered: 0)
            #expect(job.attempts == 2)
            withExtendedLifetime(origin) {}
        }
    }
}
