internal import CTestKit
internal import Glibc
internal import SystemPackage
internal import Unix

/// Endless bytes that look random but are known: each depends only on the seed and on its own position, so any range
/// of a body can be made, and compared, by itself. Several GB/s, also in a debug build.
public struct Pattern: Sendable, Hashable {
    /// The number by which this pattern differs from others.
    public let seed: UInt64

    /// A pattern of its own for each seed.
    public init(seed: UInt64 = 1) {
        self.seed = seed
    }

    /// Writes the bytes from `offset` on to a buffer.
    public func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) {
        guard let base = buffer.baseAddress else { return }
        ctestkit_pattern_fill(seed, UInt64(offset), base, buffer.count)
    }

    /// The bytes of a range.
    public func bytes(_ range: Range<Int>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
            fill(UnsafeMutableRawBufferPointer(buffer), at: range.lowerBound)
            count = range.count
        }
    }

    /// The index in the buffer of the first byte that differs from the pattern at `offset`; nil where none does.
    public func mismatch(_ buffer: UnsafeRawBufferPointer, at offset: Int) -> Int? {
        guard let base = buffer.baseAddress else { return nil }
        let agreeing = ctestkit_pattern_agreement(seed, UInt64(offset), base, buffer.count)
        return agreeing == buffer.count ? nil : agreeing
    }

    /// The index of the first byte that differs from the pattern at `offset`.
    public func mismatch(_ bytes: [UInt8], at offset: Int = 0) -> Int? {
        bytes.withUnsafeBytes { mismatch($0, at: offset) }
    }

    /// Writes a range to a blocking descriptor.
    ///
    /// - Throws: the error of `write(2)`.
    public func write(_ range: Range<Int>, to descriptor: CInt) throws {
        var block = [UInt8](repeating: 0, count: min(range.count, 1 << 20))
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = min(block.count, range.upperBound - offset)
            try block.withUnsafeMutableBytes { buffer in
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                fill(piece, at: offset)
                _ = try FileDescriptor(rawValue: descriptor).writeAll(piece)
            }
            offset += count
        }
    }

    /// Makes a file of the first `count` bytes. A GiB takes about a second.
    public func makeFile(_ path: String, count: Int) throws {
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate, .closeOnExec],
            permissions: FilePermissions(rawValue: 0o644))
        try file.closeAfter { try write(0..<count, to: file.rawValue) }
    }

    /// The SHA-256 of the first `count` bytes, in hexadecimal.
    public func sha256(count: Int) throws -> String {
        let sum = try SHA256Sum()
        try write(0..<count, to: sum.input)
        return try sum.finish()
    }
}
