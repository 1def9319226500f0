import TestKit
import Testing
import Unix

/// Facts about what a server can send, and what Foundation makes of it.
@Suite("Facts: what servers send", .serialized)
struct ServerFacts {
    static let pattern = Pattern(seed: 1)

    /// What a probe makes of the bytes that an origin sends before it closes.
    private func outcome(of raw: String) throws -> Probe.Event {
        let origin = try BadOrigin { connection in
            try connection.send(raw)
            connection.close()
        }
        return try Probe().outcome(origin.url())
    }

    /// How a probe ends that receives these bytes.
    private func death(by raw: String) throws -> ProgramResult {
        let origin = try BadOrigin { connection in
            try connection.send(raw)
            connection.waitForClose()
        }
        let probe = try Probe()
        try probe.fetch(origin.url())
        return try probe.exit()
    }

    @Test(
        "F6: a chunked body with trailers kills the process (swiftlang/swift-corelibs-foundation#5285)")
    func trailersKill() throws {
        let result = try death(
            by: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
        guard case .signalled = result.exit else {
            Issue.record("\(revisit("F6", "trailers are survived: \(result)"))")
            return
        }
    }

    @Test("F6: an enormous Content-Length kills the process")
    func enormousLengthKills() throws {
        let result = try death(by: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello")
        guard case .signalled = result.exit else {
            Issue.record("\(revisit("F6", "an enormous Content-Length is survived: \(result)"))")
            return
        }
    }

    @Test(
        "F8: the body arrives even if the delegate answered the response with .cancel",
        arguments: [200, 404])
    func dispositionIsIgnored(_ status: Int) throws {
        let origin = try BadOrigin { try $0.respond("\(status) Word", pattern: Self.pattern, count: 100_000) }
        let outcome = try Probe("disposition=cancel").outcome(origin.url())
        #expect(
            outcome.number("received") == 100_000,
            "\(revisit("F8", "the disposition has an effect: \(outcome)"))")
        #expect(outcome.number("code") == 0)
    }

    /// `hello hello …`, 6,000 bytes, compressed by gzip(1).
    private func gzipped() throws -> [UInt8] {
        let directory = try TemporaryDirectory()
        try directory.write(String(repeating: "hello ", count: 1000), to: "plain")
        _ = try Program.run("/bin/gzip", ["-n", directory.file("plain")]).successful()
        return try readBytes(directory.file("plain.gz"))
    }

    @Test("F10: a content encoding is decoded although identity was requested")
    func decodesAlways() throws {
        let body = try gzipped()
        let origin = try BadOrigin { try $0.respond(headers: ["Content-Encoding: gzip"], body: body) }
        let probe = try Probe()
        try probe.fetch(origin.url(), headers: ["Accept-Encoding:identity"])
        #expect(try probe.next("response")["header:content-encoding"] == "gzip")
        let outcome = try probe.next("complete")
        #expect(outcome.number("received") == 6000, "\(revisit("F10", "not decoded: \(outcome)"))")
        #expect(origin.requests.first?["Accept-Encoding"] == "identity")
    }

    @Test("F10: a truncated gzip body without a length ends as a success")
    func truncatedGzipSucceeds() throws {
        let body = try gzipped()
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Content-Encoding: gzip", "Connection: close"])
            try connection.send(Array(body.prefix(body.count - 12)))
            connection.close()
        }
        let outcome = try Probe().outcome(origin.url())
        #expect(
            outcome.number("code") == 0, "\(revisit("F10", "a truncated gzip body is an error: \(outcome)"))")
    }

    @Test("F12: a body shorter than its Content-Length ends with -1")
    func bodyShorterThanLengthFails() throws {
        let outcome = try outcome(of: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        #expect(outcome.number("code") == -1 && outcome.number("received") == 5, "\(outcome)")
        #expect(outcome["text"] == "transfer closed with 5 bytes remaining to read")
    }

    @Test("F12: a chunked body without its last chunk ends with -1")
    func missingLastChunkFails() throws {
        let outcome = try outcome(of: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        #expect(outcome.number("code") == -1 && outcome.number("received") == 5, "\(outcome)")
        #expect(outcome["text"] == "transfer closed with outstanding read data remaining")
    }

    @Test("F13: a status line with no space after the code fails with -1")
    func statusWithoutSpaceFails() throws {
        let outcome = try outcome(of: "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello")
        #expect(
            outcome.number("code") != 0, "\(revisit("F13", "such a status line is understood: \(outcome)"))")
    }

    @Test("F13: a response with header bytes that are not UTF-8 fails")
    func headerNotUTF8Fails() throws {
        let origin = try BadOrigin { connection in
            try connection.send(
                Array("HTTP/1.1 200 OK\r\nX-Name: caf".utf8) + [0xE9]
                    + Array("\r\nContent-Length: 5\r\n\r\nhello".utf8))
            connection.close()
        }
        let outcome = try Probe().outcome(origin.url())
        #expect(
            outcome.number("code") != 0, "\(revisit("F13", "Latin-1 headers are understood: \(outcome)"))")
    }

    @Test("F13: an IPv6 literal fails with -1000")
    func ipv6LiteralFails() throws {
        let origin = try BadOrigin(host: "::1") { try $0.respond(body: [1]) }
        let outcome = try Probe().outcome(origin.url())
        #expect(outcome.number("code") == -1000, "\(revisit("F13", "IPv6 literals work: \(outcome)"))")
    }

    @Test("F19: a truncated body that only the close delimits is a success")
    func truncatedCloseDelimitedBodySucceeds() throws {
        let outcome = try outcome(of: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel")
        #expect(outcome.number("code") == 0 && outcome.number("received") == 3, "\(outcome)")
    }

    @Test("a close-delimited body that is cut short by RST is an error")
    func resetCloseDelimitedBodyFails() throws {
        let gate = try Gate()
        let origin = try BadOrigin { connection in
            try connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhel")
            try connection.wait(for: gate)
            connection.reset()
        }
        let probe = try Probe()
        try probe.fetch(origin.url())
        _ = try probe.next("data")
        gate.open()
        let outcome = try probe.next("complete")
        #expect(outcome.number("code") == -1005 && outcome.number("received") == 3, "\(outcome)")
        #expect(outcome["text"].contains("Connection reset by peer"))
    }
}
