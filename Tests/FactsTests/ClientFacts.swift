import Glibc
import TestKit
import Testing
import Unix

/// Facts about what URLSession does worse than curl, and what the lane's shim corrects (docs/foundation.md). The
/// probe has no shim.
@Suite("Facts: URLSession as an HTTP client", .serialized)
struct ClientFacts {
    @Test("F21: a session spins while the origin of a new connection is silent")
    func spinsWhileItWaits() throws {
        let origin = try BadOrigin { $0.waitForClose() }
        let probe = try Probe()
        try probe.fetch(origin.url())
        try origin.waitForRequests(1)
        let before = try probe.processorTime()
        try eventually(revisit("F21", "a silent origin costs no processor time: sockets.c can go")) {
            try probe.processorTime() - before > .milliseconds(500)
        }
    }

    @Test("F22: stray bytes on an idle connection are taken for the answer to the next request")
    func takesStrayBytes() throws {
        let (isIdle, isSent) = (try Gate(), try Gate())
        let origin = try BadOrigin { connection in
            if connection.request.path == "/second" {
                return try connection.respond(body: Array("right".utf8))
            }
            try connection.respond(body: Array("first".utf8))
            try connection.wait(for: isIdle)
            try connection.respond(body: Array("a stray".utf8))
            isSent.open()
        }
        let probe = try Probe()
        #expect(try probe.outcome(origin.url("/first")).number("received") == 5)
        isIdle.open()
        #expect(waitFor(CInt(POLLIN), on: isSent.descriptor, until: Deadline()))
        let outcome = try probe.outcome(origin.url("/second"))
        #expect(
            outcome.number("received") == 7,
            "\(revisit("F22", "a stray response is noticed: InetSockets.dropUnusable can go: \(outcome)"))")
    }

    @Test("F23: a proxy's answer to CONNECT is reported as the response, although the origin never answered")
    func takesAProxysAnswer() throws {
        let proxy = try BadOrigin { connection in
            try connection.send("HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            connection.waitForClose()
        }
        let probe = try Probe(environment: ["https_proxy": proxy.url("")])
        try probe.fetch("https://origin.invalid/")
        let response = try probe.next("response")
        #expect(
            response["header:x-proxy"] == "yes",
            "\(revisit("F23", "the answer to CONNECT is not shown: \(response)"))")
    }

    @Test(
        "F24: heads that every other client accepts fail",
        arguments: [
            "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: a\r\n \r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name : a\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX Name: a\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name:   \r\n\r\nhello",
            "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
        ])
    func refusesHeads(_ raw: String) throws {
        let origin = try BadOrigin { connection in
            try connection.send(raw)
            connection.close()
        }
        let outcome = try Probe().outcome(origin.url())
        #expect(outcome.number("code") != 0, "\(revisit("F24", "\(raw.debugDescription) is understood"))")
    }

    @Test("F24: a head that ends after its status line kills the process")
    func diesOfACutHead() throws {
        let origin = try BadOrigin { connection in
            try connection.send("HTTP/1.1 200 OK\r\n")
            connection.close()
        }
        let probe = try Probe()
        try probe.fetch(origin.url())
        let result = try probe.exit()
        guard case .signalled = result.exit else {
            Issue.record("\(revisit("F24", "a cut head is survived: \(result)"))")
            return
        }
    }

    @Test("Foundation adds Accept-Language and Connection to a request, and a blank value suppresses each")
    func addsFieldsUnlessBlank() throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let probe = try Probe()
        _ = try probe.outcome(origin.url())
        _ = try probe.outcome(origin.url(), headers: ["Accept-Language: ", "Connection: "])
        let requests = origin.requests
        #expect(
            requests[0]["Accept-Language"] != nil && requests[0]["Connection"] != nil, "\(requests[0].raw)")
        #expect(
            requests[1]["Accept-Language"] == nil && requests[1]["Connection"] == nil, "\(requests[1].raw)")
    }

    @Test("F31: each byte that arrives as a chunk of its own costs hundreds of bytes of memory")
    func paysForSmallChunks() throws {
        let count = 200_000
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
            var framed: [UInt8] = []
            for _ in 0..<count { framed += [0x31, 0x0d, 0x0a, 0x78, 0x0d, 0x0a] }
            try connection.send(framed)
            try connection.sendChunk([])
            connection.waitForClose()
        }
        let probe = try Probe("gate=\(count)")
        let before = try probe.writtenBytes()
        try probe.fetch(origin.url())
        _ = try probe.next("gate")
        let growth = try probe.writtenBytes() - before
        #expect(growth > 20 << 20, "\(revisit("F31", "\(count) chunks cost \(growth) bytes"))")
    }
}
