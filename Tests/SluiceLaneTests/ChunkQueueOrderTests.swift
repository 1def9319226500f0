import FoundationEssentials
import SystemPackage
import TestKit
import Testing
import Unix

@testable import SluiceLane

@Suite struct ChunkQueueOrderTests {
    @Test(
        "bytes come out in the order in which they went in, whatever the sizes of chunks and writes",
        arguments: [(1, 4096), (71, 37), (4095, 65536), (4096, 10_000), (16_384, 65_536), (16_385, 16_383)])
    func keepsByteOrder(chunkSize: Int, writeSize: Int) throws {
        let pattern = Pattern(seed: 7)
        let total = 200_003
        let pipe = try Unix.Pipe()
        var queue = ChunkQueue()
        var offered = 0
        var read = 0
        while read < total {
            while offered < total, queue.count < 60_000 {
                let next = min(total, offered + chunkSize)
                queue.append(Data(pattern.bytes(offered..<next)))
                offered = next
            }
            let written = try queue.write(to: pipe.writeEnd, atMost: writeSize)
            #expect(written > 0 && written <= writeSize)
            var buffer = [UInt8](repeating: 0, count: written)
            let count = try FileDescriptor(rawValue: pipe.readEnd.rawValue).read(into: &buffer)
            try #require(count == written)
            try #require(pattern.mismatch(buffer, at: read) == nil)
            read += count
        }
        #expect(queue.isEmpty)
    }

    @Test("single bytes are joined into pieces so large that one write fills the pipe")
    func joinsSingleBytes() throws {
        var queue = ChunkQueue()
        for _ in 0..<100_000 { queue.append(Data([65])) }
        #expect(queue.count == 100_000)
        let pipe = try Unix.Pipe()
        // With pieces of 16 KiB, a few pieces fill the pipe in one call.
        #expect(try queue.write(to: pipe.writeEnd, atMost: 65_536) == 65_536)
    }
}

extension FileDescriptor {
    fileprivate func read(into buffer: inout [UInt8]) throws -> Int {
        try buffer.withUnsafeMutableBytes { try read(into: $0) }
    }
}
