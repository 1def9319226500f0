import FoundationEssentials
import SystemPackage
import TestKit
import Testing
import Unix

@testable import SluiceLane

extension ChunkQueue {
    /// Writes from the front, as the pump does: written bytes leave the queue.
    mutating func write(to descriptor: borrowing OwnedDescriptor, atMost limit: Int) throws(Errno)
        -> Int
    {
        let written = try front(atMost: limit).write(to: descriptor)
        consume(written)
        return written
    }
}

@Suite("The queue of chunks")
struct ChunkQueueTests {
    static let pattern = Pattern(seed: 77)

    /// A pipe of 64 KiB that no thread reads yet.
    private func pipe() throws -> Pipe {
        let pipe = try Pipe()
        try setNonblocking(pipe.readEnd.rawValue)
        return pipe
    }

    private func drain(_ descriptor: CInt) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 17)
        while let count = try? chunk.withUnsafeMutableBytes({
            try FileDescriptor(rawValue: descriptor).read(into: $0)
        }), count > 0 {
            bytes += chunk[..<count]
        }
        return bytes
    }

    @Test("appended bytes are written in order, whatever the sizes of chunks and writes")
    func writesBytesInOrder() throws {
        var generator = SystemRandomNumberGenerator()
        let pipe = try pipe()
        var queue = ChunkQueue()
        var appended = 0
        var read = 0
        for _ in 0..<2000 {
            let size = [0, 1, 7, 100, 4095, 4096, 5000, 16384].randomElement(using: &generator) ?? 0
            queue.append(Data(Self.pattern.bytes(appended..<(appended + size))))
            appended += size
            if Int.random(in: 0..<3, using: &generator) == 0, !queue.isEmpty {
                let limit = Int.random(in: 1...70_000, using: &generator)
                let before = queue.count
                let written = try queue.write(to: pipe.writeEnd, atMost: limit)
                #expect(written > 0 && written <= limit && queue.count == before - written)
                let bytes = drain(pipe.readEnd.rawValue)
                #expect(bytes.count == written)
                #expect(Self.pattern.mismatch(bytes, at: read) == nil)
                read += written
            }
            #expect(queue.count == appended - read)
        }
        while !queue.isEmpty {
            let written = try queue.write(to: pipe.writeEnd, atMost: 1 << 20)
            #expect(Self.pattern.mismatch(drain(pipe.readEnd.rawValue), at: read) == nil)
            read += written
        }
        #expect(read == appended)
    }

    @Test("a body that arrives byte by byte is joined into large pieces")
    func joinsTricklingBytes() throws {
        let pipe = try pipe()
        var queue = ChunkQueue()
        for index in 0..<50_000 { queue.append(Data(Self.pattern.bytes(index..<(index + 1)))) }
        // One write takes 64 pieces. Joined into pieces of 16 KiB, four are enough.
        #expect(try queue.write(to: pipe.writeEnd, atMost: 1 << 20) == 50_000)
        #expect(Self.pattern.mismatch(drain(pipe.readEnd.rawValue)) == nil)
    }

    @Test("a full pipe loses no bytes")
    func fullPipeLosesNothing() throws {
        let pipe = try pipe()
        var queue = ChunkQueue()
        queue.append(Data(Self.pattern.bytes(0..<200_000)))
        #expect(try queue.write(to: pipe.writeEnd, atMost: 1 << 20) == 65536)
        #expect(throws: Errno.wouldBlock) { try queue.write(to: pipe.writeEnd, atMost: 1 << 20) }
        #expect(queue.count == 200_000 - 65536)
        var bytes = drain(pipe.readEnd.rawValue)
        while !queue.isEmpty {
            _ = try queue.write(to: pipe.writeEnd, atMost: 1 << 20)
            bytes += drain(pipe.readEnd.rawValue)
        }
        #expect(bytes.count == 200_000 && Self.pattern.mismatch(bytes) == nil)
    }
}
