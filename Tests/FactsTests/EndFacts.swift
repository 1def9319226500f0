import TestKit
import Testing

/// Facts about how a transfer is ended, and about the gate over every transport.
@Suite("Facts: ending a transfer, over HTTP, TLS and h2", .serialized)
struct EndFacts {
    enum Transport: String, CaseIterable, Sendable {
        case http, tls, http2

        func url(_ nginx: Nginx, _ path: String) -> String {
            switch self {
            case .http: nginx.httpURL(path)
            case .tls: nginx.tlsURL(path)
            case .http2: nginx.http2URL(path)
            }
        }

        func port(_ nginx: Nginx) -> UInt16 {
            switch self {
            case .http: nginx.httpPort
            case .tls: nginx.tlsPort
            case .http2: nginx.http2Port
            }
        }
    }

    static let size = 256 << 20

    private static func served() throws -> (Nginx, TestCA, String) {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        let nginx = try Nginx(options)
        return (nginx, authority, try nginx.serve("big", Pattern(seed: 1), count: size))
    }

    @Test(
        "F5: shutdown(2) of the process's sockets ends a transfer behind a closed gate",
        arguments: Transport.allCases)
    func shutdownEndsBlockedTransfer(_ transport: Transport) throws {
        let (nginx, authority, path) = try Self.served()
        try judge("the end of a transfer behind a closed gate", takesLessThan: .seconds(1)) {
            let probe = try Probe("gate=1000000", authority: authority.certificate)
            try probe.fetch(transport.url(nginx, path))
            _ = try probe.next("gate")
            try nginx.waitUntilBlocked(port: transport.port(nginx))
            try probe.send("shutdown")
            #expect(try probe.next("shut").number("sockets") >= 1)
            let start = ContinuousClock.now
            try probe.send("open")
            let outcome = try probe.next("complete")
            let took = start.duration(to: .now)
            #expect(outcome.number("code") != 0)
            #expect(outcome["mismatch"] == "-1")
            // Bytes that the kernel had already received still come: a few MB at most.
            #expect(outcome.number("received") < 32 << 20)
            // The process can make another transfer.
            #expect(try probe.outcome(transport.url(nginx, path)).number("received") == Self.size)
            return took
        }
    }

    @Test("F5: shutdown(2) ends a transfer that runs at full speed", arguments: Transport.allCases)
    func shutdownEndsRunningTransfer(_ transport: Transport) throws {
        let (nginx, authority, path) = try Self.served()
        try judge("the end of a transfer at full speed", takesLessThan: .seconds(3)) {
            let probe = try Probe("slow=2000", authority: authority.certificate)
            try probe.fetch(transport.url(nginx, path))
            _ = try probe.next("data")
            let start = ContinuousClock.now
            try probe.send("shutdown")
            let outcome = try probe.next("complete")
            let took = start.duration(to: .now)
            #expect(outcome.number("code") != 0)
            // 6 MB may sit in the socket's buffer, at 2 ms per 16 KiB.
            #expect(outcome.number("received") < 24 << 20)
            return took
        }
    }

    @Test(
        "F20: a closed gate stops the origin, memory stays flat, and the body is right",
        arguments: Transport.allCases)
    func closedGateStopsOrigin(_ transport: Transport) throws {
        let (nginx, authority, path) = try Self.served()
        let probe = try Probe("gate=1000000", "timeout=1", authority: authority.certificate)
        try probe.fetch(transport.url(nginx, path))
        _ = try probe.next("gate")
        let before = try probe.writtenBytes()
        try nginx.waitUntilBlocked(port: transport.port(nginx), calm: .seconds(2))
        let growth = try probe.writtenBytes() - before
        #expect(growth < 4 << 20, "grew by \(growth) bytes; the body has \(Self.size)")
        try probe.send("open")
        let outcome = try probe.next("complete")
        #expect(outcome.number("code") == 0)
        #expect(outcome.number("received") == Self.size)
        #expect(outcome["mismatch"] == "-1")
    }
}
