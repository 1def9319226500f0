import SluiceInterface
import TestKit
import Testing

extension Integration.Failures {
    /// Bodies that break off, are too large, too slow, or end in doubt.
    @Suite("Bodies")
    struct Bodies {
        static let pattern = Integration.Failures.pattern
        typealias Scene = Integration.Failures.Scene

        @Test(
            "a body that is shorter than its Content-Length is truncated, and the bytes that arrived are delivered"
        )
        func bodyShorterThanLengthIsTruncated() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                let sent = Int(connection.request.path.dropFirst()) ?? 0
                try connection.sendHead(headers: ["Content-Length: 10000000"])
                try connection.send(Self.pattern, 0..<sent)
                connection.close()
            }
            for sent in [0, 1, 65536, 1_000_000] {
                let job = try scene.fails(origin.url("/\(sent)"), .truncated, delivered: sent)
                #expect(job.contentLength == 10_000_000)
            }
        }

        @Test("a chunked body without its last chunk is truncated, and the bytes that arrived are delivered")
        func missingLastChunkIsTruncated() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                try connection.sendChunk(Self.pattern.bytes(0..<100_000))
                if connection.request.path == "/inside" {
                    try connection.send("ff\r\nhalf")
                }
                connection.close()
            }
            try scene.fails(origin.url(), .truncated, delivered: 100_000)
            let job = try scene.service.fetch(origin.url("/inside"), expecting: nil)
                .finish(failing: .truncated)
            #expect(job.bytesDelivered <= 100_004)
        }

        @Test("a connection that is reset in mid-body is lost, and the delivered prefix is exact")
        func resetDeliversExactPrefix() throws {
            let scene = try Scene()
            let received = try Gate()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 10000000"])
                try connection.send(Self.pattern, 0..<1_000_000)
                try connection.wait(for: received)
                connection.reset()
            }
            let job = try scene.service.fetch(origin.url(), expecting: Self.pattern)
            try job.reader.waitForCount(1_000_000)
            received.open()
            try job.finish(failing: .connectionLost, delivered: 1_000_000)
            try scene.isWell()
        }

        @Test("a silent origin ends its job after the silence timeout")
        func silentOriginEndsItsJob() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 10000000"])
                try connection.send(Self.pattern, 0..<1000)
                connection.waitForClose()
            }
            try judge("a stall timeout of 0.5 s", takesLessThan: .seconds(5)) {
                try elapsed {
                    try scene.fails(origin.url(), .silenceTimeout, delivered: 1000) {
                        $0.silenceTimeoutSeconds = 0.5
                    }
                }
            }
        }

        @Test("the silence timeout does not run while the consumer does not read")
        func slowConsumerCausesNoTimeout() throws {
            let nginx = try Nginx()
            let service = try TestService("gate.stalled_after_seconds = 0.1")
            let size = 64 << 20
            let path = try nginx.serve("file", Self.pattern, count: size)
            let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(1000)) {
                $0.silenceTimeoutSeconds = 0.3
            }
            try job.waitFor(.stalled)
            // Three times the stall timeout, measured by the job's own clock.
            try eventually("the gate has been closed for a second") { try job.now().stalledUsec > 1_000_000 }
            job.reader.release()
            try job.finishComplete(size)
        }

        @Test("the total deadline also runs behind a closed gate and in the queue")
        func deadlineRunsWhileJobsWait() throws {
            let scene = try Scene("lanes.minimum = 1\nlanes.maximum = 2\ngate.stalled_after_seconds = 0.1")
            let nginx = try Nginx()
            let path = try nginx.serve("file", Self.pattern, count: 64 << 20)
            let silent = try BadOrigin { $0.waitForClose() }
            let closed = try scene.service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(1000)
            ) { $0.deadlineSeconds = 1 }
            let connecting = try scene.service.fetch(silent.url(), expecting: Self.pattern) {
                $0.deadlineSeconds = 1
            }
            let queued = try scene.service.fetch(nginx.httpURL(path), expecting: Self.pattern) {
                $0.deadlineSeconds = 0.3
            }
            #expect(try scene.service.wait(queued.id).outcome?.code == .deadlineExceeded)
            #expect(try scene.service.wait(closed.id).outcome?.code == .deadlineExceeded)
            #expect(try scene.service.wait(connecting.id).outcome?.code == .deadlineExceeded)
            closed.reader.release()
            for job in [closed, connecting, queued] { try job.finish(failing: .deadlineExceeded) }
            try scene.isWell()
        }

        @Test("a body larger than the job allows fails, with and without a Content-Length")
        func refusesTooLargeBody() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                if connection.request.path == "/length" {
                    try connection.respond(pattern: Self.pattern, count: 1_000_001)
                } else {
                    try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                    try connection.sendChunk(Self.pattern.bytes(0..<1_000_000))
                    if connection.request.path == "/more" { try connection.sendChunk([1]) }
                    try connection.sendChunk([])
                }
            }
            try scene.fails(origin.url("/length"), .tooLarge, delivered: 0) { $0.maximumSize = 1_000_000 }
            let job = try scene.fails(origin.url("/more"), .tooLarge, delivered: nil) {
                $0.maximumSize = 1_000_000
            }
            #expect(job.bytesDelivered <= 1_000_000)
            try scene.service.fetch(origin.url("/exact"), expecting: Self.pattern) {
                $0.maximumSize = 1_000_000
            }.finishComplete(1_000_000)
        }

        @Test("the service's own maximum size applies, whatever the job asks for")
        func serviceMaximumAlwaysApplies() throws {
            let scene = try Scene("limits.maximum_size = 20000")
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 20_001) }
            try scene.fails(origin.url(), .tooLarge) { $0.maximumSize = 1 << 30 }
        }

        @Test("a body that only the connection's end delimits is complete but unverified")
        func closeDelimitedBodyIsUnverified() throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Connection: close"])
                try connection.send(Self.pattern, 0..<100_000)
                connection.close()
            }
            let job = try scene.service.fetch(origin.url(), expecting: Self.pattern).finish()
            #expect(job.outcome?.code == .completeUnverified)
            #expect(job.outcome?.remedy?.contains("checksum") == true)
            #expect(job.state == .complete)
            #expect(job.bytesDelivered == 100_000)
            try scene.isWell()
        }

        @Test(
            "an HTTP/2 body without a Content-Length ends with its stream, which proves it complete")
        func http2StreamEndProvesCompleteness() throws {
            let backend = try BadOrigin { connection in
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                try connection.sendChunk(Self.pattern.bytes(0..<200_000))
                try connection.sendChunk([])
            }
            let wires = try Wires { options in
                options.serverConfiguration =
                    "location / { proxy_pass \(backend.url("/")); proxy_http_version 1.1; }"
            }
            let job = try wires.service.fetch(wires.nginx.http2URL("/x"), expecting: Self.pattern)
                .finishComplete(200_000)
            #expect(job.contentLength == nil)
        }

        @Test(
            "a response without a body is complete with zero bytes",
            arguments: ["204 No Content", "200 OK"])
        func emptyBodyIsComplete(_ status: String) throws {
            let scene = try Scene()
            let origin = try BadOrigin { connection in
                try connection.sendHead(status, headers: status.hasPrefix("204") ? [] : ["Content-Length: 0"])
            }
            try scene.service.fetch(origin.url(), expecting: Self.pattern).finishComplete(0)
            try scene.isWell()
        }
    }
}
