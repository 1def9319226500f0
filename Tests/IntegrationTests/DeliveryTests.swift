import SluiceInterface
import TestKit
import Testing

extension Integration {
    @Suite("Delivery")
    struct Delivery {
        static let pattern = Pattern(seed: 42)
        /// Sizes around those of everything between origin and consumer: pages, pipes, receive buffers, gathers,
        /// watermarks.
        static let sizes = [
            0, 1, 4095, 4096, 4097, 16384, 65535, 65536, 65537, 262_143, 262_144, 262_145, (1 << 20) - 1,
            1 << 20,
            (1 << 20) + 1,
        ]

        @Test("a body of any size arrives whole and exact", arguments: Wire.available)
        func deliversAnySizeExactly(_ wire: Wire) throws {
            let wires = try Wires()
            for size in Self.sizes + [64 << 20] {
                let path = try wires.nginx.serve("\(size)", Self.pattern, count: size)
                let job = try wires.service.fetch(wires.url(path, over: wire), expecting: Self.pattern)
                    .finishComplete(size)
                #expect(job.contentLength == size)
                #expect(job.httpStatus == 200)
            }
            let protocols = Set(try wires.nginx.accessLog().map { $0.split(separator: " ")[2] })
            #expect(protocols == [wire == .http2 ? "HTTP/2.0" : "HTTP/1.1"])
        }

        @Test("a chunked body of any size arrives whole and exact")
        func deliversAnyChunkedSizeExactly() throws {
            let origin = try BadOrigin { connection in
                let size = Int(connection.request.path.dropFirst()) ?? 0
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                for start in stride(from: 0, to: size, by: 50_021) {
                    try connection.sendChunk(Self.pattern.bytes(start..<min(size, start + 50_021)))
                }
                try connection.sendChunk([])
            }
            let service = try TestService()
            for size in Self.sizes {
                let job = try service.fetch(origin.url("/\(size)"), expecting: Self.pattern)
                    .finishComplete(size)
                #expect(job.contentLength == nil)
            }
        }

        @Test(
            "a body arrives exactly at a consumer that reads seven bytes at a time", arguments: Wire.available
        )
        func deliversToSevenByteReads(_ wire: Wire) throws {
            let wires = try Wires()
            for size in [1, 4097, 65537, 262_145] {
                let path = try wires.nginx.serve("\(size)", Self.pattern, count: size)
                try wires.service.fetch(
                    wires.url(path, over: wire), expecting: Self.pattern, pace: .pieces(7)
                ).finishComplete(size)
            }
        }

        @Test("71-byte chunks arrive exactly through 37-byte reads, whatever the watermarks")
        func deliversOddChunksExactly() throws {
            let size = 300_000
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"])
                var body: [UInt8] = []
                for start in stride(from: 0, to: size, by: 71) {
                    let bytes = Self.pattern.bytes(start..<min(size, start + 71))
                    body += Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8)
                }
                try connection.send(body)
                try connection.sendChunk([])
            }
            let service = try TestService()
            for (high, low) in [(1, 0), (100, 50), (65_536, 0), (1 << 20, 1 << 18)] {
                try service.fetch(origin.url(), expecting: Self.pattern, pace: .pieces(37)) {
                    $0.highWatermark = high
                    $0.lowWatermark = low
                }.finishComplete(size)
            }
        }

        @Test("a trickle of bytes is delivered as it arrives")
        func deliversTrickleAtOnce() throws {
            let next = try Gate()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 8"])
                try connection.send(Self.pattern, 0..<3)
                try connection.wait(for: next)
                try connection.send(Self.pattern, 3..<8)
            }
            let service = try TestService()
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            // The origin continues only when the consumer has the first part.
            try job.reader.waitForCount(3)
            #expect(try job.now().bytesDelivered == 3)
            next.open()
            try job.finishComplete(8)
        }

        @Test("a job reports its attempts and times, and its URL without secrets")
        func reportsTimesAndRedactsURL() throws {
            let wires = try Wires()
            let path = try wires.nginx.serve("file", Self.pattern, count: 1000)
            let job = try wires.service.fetch(
                wires.nginx.httpURL(path + "?token=secret&b"), expecting: Self.pattern
            )
            .finishComplete(1000)
            #expect(
                job.url.hasSuffix("/file?token=…&…") || job.url.hasSuffix("/file?token=…&b"), "\(job.url)")
            #expect(job.attempts == 1)
            #expect(job.bytesBuffered == 0)
            #expect(job.createdUsec <= job.startedUsec ?? 0)
            #expect(job.startedUsec ?? 0 <= job.finishedUsec ?? 0)
            #expect(!wires.service.log.contains("secret"))
            #expect(wires.service.log.contains(job.id))
        }
    }
}
