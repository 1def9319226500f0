import SluiceInterface
import TestKit
import Testing

extension Integration {
    /// Bytes that wait on an idle connection are never taken for an answer (curl issue 10690), and cost no attempt.
    @Suite("Stray bytes")
    struct StrayBytes {
        /// What an origin does on a connection after a complete response.
        enum Stray: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case response, chunkedResponse, fewBytes, requestTimeout, garbage, halfHead, close, reset

            var testDescription: String { rawValue }

            /// The bytes sent after the response.
            var bytes: String {
                switch self {
                case .response: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"
                case .chunkedResponse:
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n0\r\n\r\n"
                case .fewBytes: ", and a few bytes more"
                case .requestTimeout:
                    "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                case .garbage: "\0\u{1}\u{2}\r\n\r\n"
                case .halfHead: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: "
                case .close, .reset: ""
                }
            }

            func end(_ connection: inout OriginConnection) {
                switch self {
                case .requestTimeout, .close: connection.close()
                case .reset: connection.reset()
                case .response, .chunkedResponse, .fewBytes, .garbage, .halfHead: break
                }
            }
        }

        /// When the bytes come.
        enum Moment: String, CaseIterable, Sendable, CustomTestStringConvertible {
            /// In one write together with the response.
            case atOnce
            /// After the job has ended.
            case idle

            var testDescription: String { rawValue }
        }

        /// An origin whose first answer is followed by stray bytes. Each answer contains its request.
        private struct Scene {
            let origin: BadOrigin
            let service: TestService
            private let ended: Gate
            private let sent: Gate
            private let moment: Moment
            private let base: String
            private let port: UInt16
            private let relay: TLSRelay?

            init(_ stray: Stray, _ moment: Moment, _ wire: Wire) throws {
                let ended = try Gate()
                let sent = try Gate()
                (self.ended, self.sent, self.moment) = (ended, sent, moment)
                let authority = wire == .tls ? try TestCA() : nil
                relay = try authority.map { try TLSRelay($0[.good]) }
                origin = try BadOrigin { connection in
                    let body = Self.body(connection.request.target)
                    let response = "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    guard connection.request.target == "/1" else { return try connection.send(response) }
                    switch moment {
                    case .atOnce: try connection.send(response + stray.bytes)
                    case .idle:
                        try connection.send(response)
                        try connection.wait(for: ended)
                        try connection.send(stray.bytes)
                    }
                    stray.end(&connection)
                    sent.open()
                }
                port = try relay?.port(for: origin.port) ?? origin.port
                base = "\(wire == .tls ? "https" : "http")://127.0.0.1:\(port)"
                service = try TestService(
                    "lanes.minimum = 1\nlanes.maximum = 1", authority: authority?.certificate)
            }

            static func body(_ target: String) -> String { "the answer to \(target)" }

            /// Expects that a job gets its own answer at the first attempt.
            func getsItsOwn(_ target: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
                let (job, body) = try service.fetchWhole(base + target)
                #expect(job.outcome?.code == .complete, "\(job)", sourceLocation: sourceLocation)
                #expect(
                    String(decoding: body, as: UTF8.self) == Self.body(target),
                    sourceLocation: sourceLocation)
                #expect(job.attempts == 1, "\(job)", sourceLocation: sourceLocation)
            }

            /// Waits until the origin has done it, and the kernel shows it on the lane's side.
            func comes() throws {
                ended.open()
                guard sent.wait() else { throw TestFailure("the origin has not sent what nobody asked for") }
                guard moment == .idle else { return }
                try eventually("no connection of the lane's is open and empty") {
                    try TCPTable.all().filter { $0.remotePort == port && $0.state == 1 }
                        .allSatisfy { $0.receiveQueue > 0 }
                }
            }
        }

        @Test(
            "stray bytes after a response are never taken for an answer: each job gets its own at the first attempt",
            arguments: Stray.allCases, Moment.allCases)
        func ignoresStrayBytesOverHTTP(_ stray: Stray, _ moment: Moment) throws {
            try jobsGetTheirOwn(stray, moment, .http)
        }

        @Test(
            "over TLS, too, stray bytes after a response are never taken for an answer",
            .enabled(if: Trust.isAvailable), arguments: Stray.allCases, Moment.allCases)
        func ignoresStrayBytesOverTLS(_ stray: Stray, _ moment: Moment) throws {
            try jobsGetTheirOwn(stray, moment, .tls)
        }

        private func jobsGetTheirOwn(_ stray: Stray, _ moment: Moment, _ wire: Wire) throws {
            let scene = try Scene(stray, moment, wire)
            try scene.getsItsOwn("/1")
            try scene.comes()
            for target in ["/2", "/3", "/4"] { try scene.getsItsOwn(target) }
            // No request was repeated, and none was left out.
            #expect(scene.origin.requests.map(\.target) == ["/1", "/2", "/3", "/4"])
            #expect(try scene.service.status().lanes.died == 0)
        }

        @Test("a kept connection that the origin closes on the next request costs that job no attempt")
        func closeOnRequestCostsNoAttempt() throws {
            let closed = Monitor(false)
            let origin = try BadOrigin { connection in
                let isFirstTime = closed.update { closed in
                    defer { closed = closed || connection.request.target == "/2" }
                    return !closed
                }
                if connection.request.target == "/2", isFirstTime { return connection.close() }
                try connection.respond(body: Array("well".utf8))
            }
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            for target in ["/1", "/2", "/3"] {
                let (job, body) = try service.fetchWhole(origin.url(target))
                #expect(job.outcome?.code == .complete, "\(job)")
                #expect(body == Array("well".utf8))
                #expect(job.attempts == 1, "\(job)")
            }
        }

        @Test("a connection without faults is kept and used again")
        func keepsSoundConnections() throws {
            let origin = try BadOrigin { try $0.respond(body: Array("well".utf8)) }
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            for number in 1...5 {
                #expect(try service.fetchWhole(origin.url("/\(number)")).job.outcome?.code == .complete)
            }
            #expect(origin.connections == 1)
        }
    }
}
