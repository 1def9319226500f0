import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Every way in which an origin can fail a job. After each the service still runs, and the next job succeeds.
    @Suite("Failures")
    struct Failures {
        static let pattern = Pattern(seed: 3)

        /// A service with short limits, and a correct origin that shows afterwards that the service still works.
        struct Scene {
            let service: TestService
            let good: BadOrigin

            init(_ settings: String = "", authority: String? = nil) throws {
                service = try TestService(settings, authority: authority)
                good = try BadOrigin { try $0.respond(pattern: Failures.pattern, count: 10_000) }
            }

            /// Fetches, expects a failure, and checks that nothing else is affected.
            @discardableResult
            func fails(
                _ url: String, _ code: OutcomeCode, delivered: Int? = 0,
                within duration: Duration = Deadline.usual,
                _ change: (inout Ingest.FetchParameters) -> Void = { _ in },
                sourceLocation: SourceLocation = #_sourceLocation
            ) throws -> Job {
                let job = try service.fetch(url, expecting: Failures.pattern, change)
                    .finish(
                        failing: code, delivered: delivered, within: duration, sourceLocation: sourceLocation)
                try isWell(sourceLocation: sourceLocation)
                return job
            }

            /// Checks that the next job succeeds, and that there are no more processes than lanes.
            func isWell(sourceLocation: SourceLocation = #_sourceLocation) throws {
                try service.fetch(good.url(), expecting: Failures.pattern)
                    .finishComplete(10_000, sourceLocation: sourceLocation)
                try eventually("every child of the daemon is a lane of the pool") {
                    let lanes = try service.status().lanes
                    return try Processes.lanes(of: service.processID).count
                        == lanes.idle + lanes.busy + lanes.starting
                }
            }
        }

        // MARK: No response

        @Test("a name without an address fails as nameNotResolved")
        func reportsUnknownName() throws {
            let job = try Scene().fails("http://sluice.invalid/", .nameNotResolved)
            #expect(job.outcome?.message.contains("sluice.invalid") == true)
            #expect(job.httpStatus == nil)
        }

        @Test("a refused connection fails as connectionRefused")
        func reportsRefusedConnection() throws {
            let port = try Loopback.freePort()
            let job = try Scene().fails("http://127.0.0.1:\(port)/", .connectionRefused)
            #expect(job.outcome?.message.contains("\(port)") == true)
        }

        @Test("a connection that is reset or closed before the response fails as connectionLost")
        func reportsConnectionLostBeforeResponse() throws {
            let scene = try Scene()
            let origin = try BadOrigin()
            origin.on("/reset") { $0.reset() }
            origin.on("/close") { $0.close() }
            for path in ["/reset", "/close"] { try scene.fails(origin.url(path), .connectionLost) }
        }

        @Test(
            "a head that is cut off at any place loses the connection, but costs no lane",
            arguments: [
                "HTT", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Le",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\n",
            ])
        func cutHeadCostsNoLane(_ head: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin {
                try $0.send(head)
                $0.close()
            }
            try scene.fails(origin.url(), .connectionLost)
            #expect(try scene.service.status().lanes.died == 0)
        }

        @Test(
            "a connection that is cut in a handshake or before the head of a response is lost",
            arguments: Wire.available.filter { $0 != .http }, [false, true])
        func cutHandshakeLosesConnection(_ wire: Wire, _ resets: Bool) throws {
            let wires = try Wires()
            try wires.nginx.serve("file", Self.pattern, count: 100_000)
            // A body can begin at some place above 1,000: the certificate alone has about 500 bytes.
            for place in [1, 5, 100, 300, 700, 1000, 1200, 1400, 1600, 1800, 2000] {
                let relay = try CuttingRelay(to: wires.port(wire)) { _ in
                    CuttingRelay.Cut(after: place, resets: resets)
                }
                let job = try wires.service.fetch(
                    "https://localhost:\(relay.port)/file", expecting: Self.pattern
                ) { $0.connectTimeoutSeconds = 5 }.finish()
                let code = job.outcome?.code
                let isLost = code == .connectionLost || (job.httpStatus != nil && code == .truncated)
                #expect(isLost, "cut after \(place) bytes: \(job)")
            }
        }

        @Test("an origin that accepts a connection and stays silent fails as headTimeout")
        func silentOriginTimesOut() throws {
            let scene = try Scene()
            let origin = try BadOrigin { $0.waitForClose() }
            try judge("a connect timeout of 0.5 s", takesLessThan: .seconds(4)) {
                try elapsed {
                    try scene.fails(origin.url(), .headTimeout) { $0.headTimeoutSeconds = 0.5 }
                }
            }
        }

        @Test("an answer that is not HTTP fails as protocolError")
        func refusesAnswerThatIsNotHTTP() throws {
            let scene = try Scene()
            let origin = try BadOrigin {
                try $0.send("SSH-2.0-OpenSSH_9.2\r\n")
                $0.close()
            }
            try scene.fails(origin.url(), .protocolError)
        }

        @Test(
            "an expired, wrong-host or self-signed certificate fails with its own outcome, and no request is sent",
            arguments: [
                (TestCA.Quality.expired, OutcomeCode.tlsCertificateExpired), (.wrongHost, .tlsWrongHost),
                (.selfSigned, .tlsUntrusted),
            ])
        func refusesInvalidCertificate(_ quality: TestCA.Quality, _ code: OutcomeCode) throws {
            let authority = try TestCA()
            var options = NginxOptions()
            options.certificate = authority[quality]
            let nginx = try Nginx(options)
            let scene = try Scene(authority: authority.certificate)
            try scene.fails(nginx.tlsURL("/"), code)
            try scene.fails(nginx.http2URL("/"), code)
            #expect(try nginx.accessLog().isEmpty, "a request was sent all the same")
        }

        @Test("an untrusted authority fails as tlsUntrusted, and a port without TLS as tlsFailed")
        func refusesUntrustedOrMissingTLS() throws {
            let authority = try TestCA()
            var options = NginxOptions()
            options.certificate = authority[.good]
            let nginx = try Nginx(options)
            let scene = try Scene()
            try scene.fails(nginx.tlsURL("/"), .tlsUntrusted)
            try scene.fails("https://127.0.0.1:\(nginx.httpPort)/", .tlsFailed)
        }

        // MARK: Responses that are not accepted

        @Test(
            "a response whose status is not 2xx delivers nothing",
            arguments: [400, 401, 403, 404, 410, 429, 500, 503])
        func errorStatusDeliversNothing(_ status: Int) throws {
            let scene = try Scene()
            let origin = try BadOrigin()
            origin.on("/small") { try $0.respond("\(status) Word", body: Array("no".utf8)) }
            origin.on("/large") { try $0.respond("\(status) Word", pattern: Self.pattern, count: 10 << 20) }
            origin.on("/endless") { connection in
                try connection.sendHead("\(status) Word", headers: ["Connection: close"])
                connection.sendForever()
            }
            for path in ["/small", "/large", "/endless"] {
                let job = try scene.fails(origin.url(path), .httpStatus)
                #expect(job.httpStatus == status)
                #expect(job.outcome?.message.contains("\(status)") == true)
            }
        }

        @Test("a 304 to a request without a condition is a failure")
        func refusesUnconditionalNotModified() throws {
            let scene = try Scene()
            // It never has a body (RFC 9110 §15.4.5): bytes after it would belong to the next response.
            let origin = try BadOrigin { try $0.sendHead("304 Not Modified", headers: ["ETag: \"a\""]) }
            for _ in 0..<20 {
                let job = try scene.fails(origin.url(), .httpStatus)
                #expect(job.httpStatus == 304)
            }
        }

        @Test("a refused response without a body fails in the same way as one with a body")
        func refusesErrorStatusWithoutBody() throws {
            let origin = try BadOrigin { try $0.respond("404 No") }
            let service = try TestService()
            for _ in 0..<200 {
                try service.fetch(origin.url(), expecting: Self.pattern).finish(
                    failing: .httpStatus, delivered: 0)
            }
        }

        @Test("a Basic challenge ends its job, and the next job runs")
        func challengeEndsOnlyItsJob() throws {
            let scene = try Scene("lanes.minimum = 1\nlanes.maximum = 1")
            let origin = try BadOrigin { connection in
                if connection.request["Authorization"] == "Basic dTpw" {
                    try connection.respond(pattern: Self.pattern, count: 10)
                } else {
                    try connection.respond(
                        "401 Unauthorized", headers: ["WWW-Authenticate: Basic realm=\"r\""], body: [1, 2, 3])
                }
            }
            for _ in 0..<3 {
                let job = try scene.fails(origin.url(), .httpStatus)
                #expect(job.httpStatus == 401)
            }
            try scene.service.fetch(origin.url(), expecting: Self.pattern) {
                $0.headers = [HeaderField(name: "Authorization", value: "Basic dTpw")]
            }.finishComplete(10)
        }

        @Test("an encoded body is delivered as it was sent, and refused if the job asks for identity")
        func deliversEncodedBodyUnchanged() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.respond(
                    headers: ["Content-Encoding: gzip"], pattern: Self.pattern, count: 1000)
            }
            let job = try scene.service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1000)
            #expect(job.contentEncoding == "gzip")
            try scene.fails(origin.url(), .contentEncoded) { $0.identity = true }
            #expect(origin.requests.allSatisfy { $0["Accept-Encoding"] == "identity" })
        }

        @Test(
            "an unrequested transfer coding of a truncated body fails as contentEncoded",
            arguments: ["gzip, chunked", "gzip"])
        func refusesUnrequestedTransferCoding(_ coding: String) throws {
            let scene = try Scene()
            // The beginning of a gzip stream, and nothing after it.
            let stream: [UInt8] = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72]
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: \(coding)\r\n\r\n")
                if coding.hasSuffix("chunked") {
                    try connection.send("\(String(stream.count, radix: 16))\r\n")
                }
                try connection.send(stream)
                if coding.hasSuffix("chunked") { try connection.send("\r\n0\r\n\r\n") }
                connection.close()
            }
            try scene.fails(origin.url(), .contentEncoded)
        }

        @Test("a part that answers a request for the whole body fails as unexpectedPartial")
        func refusesUnrequestedPart() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.respond(
                    "206 Partial Content", headers: ["Content-Range: bytes 5-9/10"], body: [1, 2, 3, 4, 5])
            }
            try scene.fails(origin.url(), .unexpectedPartial)
        }

        @Test(
            "a body with an invalid Content-Length, or with two that differ, is never reported as complete",
            arguments: ["-5", "abc", "5\r\nContent-Length: 6"])
        func invalidLengthNeverCompletes(_ value: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(value)\r\n\r\nhello")
                connection.close()
            }
            let job = try scene.service.fetch(origin.url(), expecting: nil).finish()
            // How libcurl reports it may change, but it must not count as complete.
            #expect(job.outcome?.code != .complete, "\(job)")
            try scene.isWell()
        }

        // MARK: Responses that would stop Foundation

        @Test("a Content-Length of 2⁶³-1 is refused, and costs no lane")
        func absurdLengthCostsNoLane() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello")
                connection.waitForClose()
            }
            try scene.fails(origin.url(), .protocolError)
            #expect(try scene.service.status().lanes.died == 0)
        }

        @Test("a chunked body with trailers is complete (swiftlang/swift-corelibs-foundation#5285)")
        func completesBodyWithTrailers() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Transfer-Encoding: chunked", "Trailer: X-Sum"])
                try connection.sendChunk(Self.pattern.bytes(0..<5000))
                try connection.send("0\r\nX-Sum: 1\r\n\r\n")
            }
            for _ in 0..<3 {
                try scene.service.fetch(origin.url(), expecting: Self.pattern).finishComplete(5000)
            }
            #expect(origin.connections == 1)
            #expect(try scene.service.status().lanes.died == 0)
        }
    }
}
