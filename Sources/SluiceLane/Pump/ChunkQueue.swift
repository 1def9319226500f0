internal import Foundation
internal import Glibc
internal import SystemPackage
internal import Unix

/// The chunks that URLSession has delivered and that are not written yet, in order.
///
/// A large chunk is kept as it came, without a copy. Small chunks are joined, so that a body that arrives byte by byte
/// does not need many times its size.
struct ChunkQueue {
    /// A chunk smaller than this is copied to the end of the last one, in bytes.
    private static let smallChunk = 4 << 10
    /// The largest size to which small chunks are joined, in bytes.
    private static let joinedChunk = 16 << 10
    /// Maximum number of pieces for one `writev(2)`; the kernel's own limit is 1,024.
    private static let maximumPieces = 64

    private var chunks: [Data] = []
    private var lastIsJoined = false
    /// The index of the first chunk that is not written completely.
    private var first = 0
    /// Number of bytes of that chunk that are written.
    private var offset = 0
    /// Bytes that wait.
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ chunk: Data) {
        guard !chunk.isEmpty else { return }
        count += chunk.count
        guard chunk.count < Self.smallChunk else {
            chunks.append(chunk)
            lastIsJoined = false
            return
        }
        if lastIsJoined, chunks[chunks.count - 1].count + chunk.count <= Self.joinedChunk {
            chunks[chunks.count - 1].append(chunk)
        } else {
            chunks.append(chunk)
            lastIsJoined = true
        }
    }

    /// Bytes from the front that one system call can write. They stay in the queue until they are consumed.
    struct Batch {
        fileprivate let chunks: [Data]
        fileprivate let offset: Int
        fileprivate let limit: Int

        /// Writes all or a part of the bytes with one system call.
        ///
        /// - Returns: how many bytes were written.
        /// - Throws: the error of `writev(2)`.
        func write(to descriptor: borrowing OwnedDescriptor) throws(Errno) -> Int {
            let raw = descriptor.rawValue
            var pieces: [iovec] = []
            pieces.reserveCapacity(chunks.count)
            return try valueOrErrno(
                ChunkQueue.withPieces(chunks[...], from: offset, atMost: limit, &pieces) { pieces in
                    writev(raw, pieces, CInt(pieces.count))
                })
        }
    }

    /// The first bytes: at most `limit`, and at most what one call takes.
    func front(atMost limit: Int) -> Batch {
        var bytes = -offset
        var end = first
        while end < chunks.count, end - first < Self.maximumPieces, bytes < limit {
            bytes += chunks[end].count
            end += 1
        }
        return Batch(chunks: Array(chunks[first..<end]), offset: offset, limit: limit)
    }

    /// Nests the calls of `withUnsafeBytes`, so that every pointer is used only while it is valid.
    private static func withPieces(
        _ chunks: ArraySlice<Data>, from offset: Int, atMost limit: Int, _ pieces: inout [iovec],
        _ body: ([iovec]) -> Int
    ) -> Int {
        guard let chunk = chunks.first, limit > 0 else { return body(pieces) }
        return chunk.withUnsafeBytes { bytes in
            let length = min(bytes.count - offset, limit)
            pieces.append(
                iovec(
                    iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress?.advanced(by: offset)),
                    iov_len: length))
            return withPieces(chunks.dropFirst(), from: 0, atMost: limit - length, &pieces, body)
        }
    }

    /// Removes the first bytes, which have been written.
    mutating func consume(_ bytes: Int) {
        count -= bytes
        var left = bytes
        while left > 0 {
            let available = chunks[first].count - offset
            if left < available {
                offset += left
                // A chunk that has been written in part must not grow, or its first bytes would never be freed.
                lastIsJoined = lastIsJoined && first < chunks.count - 1
                return
            }
            left -= available
            offset = 0
            chunks[first] = Data()
            first += 1
        }
        if first == chunks.count {
            chunks.removeAll(keepingCapacity: true)
            lastIsJoined = false
            first = 0
        } else if first >= 256 {
            chunks.removeFirst(first)
            first = 0
        }
    }
}
