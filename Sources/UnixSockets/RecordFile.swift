internal import CUnix
internal import Glibc
public import SystemPackage

/// What is wrong with a file that should hold a record.
public enum RecordFileError: Error, Equatable, CustomStringConvertible {
    /// It is no memory file of the right size, sealed and open for reading and writing: somebody else's.
    case foreign
    /// Something was written to it, and nothing whole is left.
    case damaged
    /// The record is larger than `RecordFile.largestRecord`.
    case tooLarge(bytes: Int)
    /// A system call refused.
    case system(call: String, errno: Errno)

    /// The sentence for the log.
    public var description: String {
        switch self {
        case .foreign: "it is not a record file"
        case .damaged: "no record in it is whole"
        case .tooLarge(let bytes):
            "a record of \(bytes) bytes is larger than \(RecordFile.largestRecord)"
        case .system(let call, let errno): "\(call): \(errno)"
        }
    }
}

/// One record of bytes in a memory file (`memfd_create(2)`), for a process that may be killed between any two of its
/// instructions and be followed by another that gets the file.
///
/// There are two slots, written in turn; each says how often the record had been written, how long it is, and its
/// checksum. The newest slot that is whole is the record, so a write that a kill cut short leaves the one before.
/// The file lives in memory: it outlasts its process, not the machine.
///
/// The size of the file is fixed and sealed, so that no other holder can take pages away, and it is read and written
/// with `pread(2)` and `pwrite(2)`, never mapped. Most of it is a hole: records of up to 2,016 bytes share the first page, a larger
/// one costs its own length more (and twice that while it is rewritten).
///
/// Layout, in the byte order of the machine: `head 0, body 0` and `head 1, body 1` in one half each of the first page, then two
/// areas of `largestRecord` for bodies that do not fit there. A head is four 64-bit words: format, generation, length,
/// checksum (FNV-1a in the main, by words, over the first three and the body).
///
/// One owner at a time: two that write to the same file would take turns on the same slot.
public struct RecordFile: ~Copyable, Sendable {
    /// The largest record, in bytes.
    public static let largestRecord = 192 * 1024
    /// The largest that costs one page in all, in bytes.
    public static let largestSmallRecord = pageSize / 2 - Head.size

    static let fileSize = pageSize + 2 * largestRecord
    private static let pageSize = 4096

    /// For the store; what is in the file is this type's alone.
    public let descriptor: OwnedDescriptor
    /// Of the slot written last: the record is there.
    private var current: Head?
    private var slot = 1
    /// Slots whose large area may have pages.
    private var hasLargeBody = [false, false]

    /// Makes an empty file.
    ///
    /// - Parameter name: for people who look into `/proc/PID/fd`.
    /// - Throws: `RecordFileError.system` with `Errno.tooManyOpenFiles` or `Errno.noMemory`.
    public init(name: String) throws(RecordFileError) {
        let file = OwnedDescriptor(adopting: try Self.check("memfd_create", cunix_memfd(name)))
        _ = try Self.check("ftruncate", ftruncate(file.rawValue, off_t(Self.fileSize)))
        _ = try Self.check("fcntl", cunix_seal_size(file.rawValue))
        descriptor = file
    }

    /// Takes over a file that another process may have left, and looks for the newest whole record.
    ///
    /// - Throws: `foreign` and `damaged`; the descriptor is closed then.
    public init(adopting descriptor: consuming OwnedDescriptor) throws(RecordFileError) {
        guard DescriptorKind(of: descriptor) == .recordFile else { throw .foreign }
        var isEmpty = true
        var newest: (head: Head, slot: Int)?
        var large = [false, false]
        for slot in 0..<2 {
            let head = try Head(Self.readBytes(Head.size, at: Self.headOffset(slot), of: descriptor))
            if !head.isBlank { isEmpty = false }
            guard head.isPlausible else {
                large[slot] = !head.isBlank
                continue
            }
            large[slot] = head.isLarge
            if let newest, newest.head.generation >= head.generation { continue }
            let body = try Self.readBytes(Int(head.length), at: Self.bodyOffset(slot, head), of: descriptor)
            if head.matches(body) { newest = (head, slot) }
        }
        if let newest {
            current = newest.head
            slot = newest.slot
        } else if !isEmpty {
            throw .damaged
        }
        hasLargeBody = large
        self.descriptor = descriptor
    }

    /// The record; nil where none has been written yet.
    ///
    /// - Throws: `damaged` where somebody has written over it meanwhile.
    public borrowing func read() throws(RecordFileError) -> [UInt8]? {
        guard let current else { return nil }
        let body = try Self.readBytes(Int(current.length), at: Self.bodyOffset(slot, current), of: descriptor)
        guard current.matches(body) else { throw .damaged }
        return body
    }

    /// Replaces the record. Costs two system calls, for a large record up to two more; once it returns, the new
    /// record is what a reader finds, and until then the old one.
    ///
    /// - Throws: `tooLarge`, and `system` with `Errno.noMemory`: the record is then the old one.
    public mutating func write(_ record: [UInt8]) throws(RecordFileError) {
        guard record.count <= Self.largestRecord else { throw .tooLarge(bytes: record.count) }
        let head = Head(generation: (current?.generation ?? 0) + 1, body: record)
        let next = 1 - slot
        if head.isLarge { hasLargeBody[next] = true }
        // The body first: a head without its body would make the first record of all look like a damaged one.
        try Self.writeBytes(record, at: Self.bodyOffset(next, head), to: descriptor)
        try Self.writeBytes(head.bytes, at: Self.headOffset(next), to: descriptor)
        let old = slot
        current = head
        slot = next
        releaseLargeBody(old)
        if !head.isLarge { releaseLargeBody(next) }
    }

    /// Gives the pages back that no record is in any more.
    private mutating func releaseLargeBody(_ slot: Int) {
        guard hasLargeBody[slot] else { return }
        let offset = Self.pageSize + slot * Self.largestRecord
        // Where the kernel will not, they stay until the next time.
        hasLargeBody[slot] =
            cunix_punch_hole(descriptor.rawValue, Int64(offset), Int64(Self.largestRecord)) != 0
    }

    private static func headOffset(_ slot: Int) -> Int { slot * (pageSize / 2) }

    private static func bodyOffset(_ slot: Int, _ head: Head) -> Int {
        head.isLarge ? pageSize + slot * largestRecord : headOffset(slot) + Head.size
    }

    private static func readBytes(
        _ count: Int, at offset: Int, of file: borrowing OwnedDescriptor
    ) throws(RecordFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    file.rawValue, buffer.baseAddress?.advanced(by: done), count - done, off_t(offset + done))
            }
            if got < 0, errno == EINTR { continue }
            done += try check("pread", got)
            // Cannot be: the size is sealed. A loop without an end must not be what says so.
            if got == 0 { throw .damaged }
        }
        return bytes
    }

    private static func writeBytes(
        _ bytes: [UInt8], at offset: Int, to file: borrowing OwnedDescriptor
    ) throws(RecordFileError) {
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes { buffer in
                pwrite(
                    file.rawValue, buffer.baseAddress?.advanced(by: done), bytes.count - done,
                    off_t(offset + done))
            }
            if put < 0, errno == EINTR { continue }
            done += try check("pwrite", put)
        }
    }

    private static func check<Value: SignedInteger>(
        _ call: String, _ value: Value
    ) throws(RecordFileError) -> Value {
        guard value >= 0 else { throw .system(call: call, errno: Errno(rawValue: errno)) }
        return value
    }
}

/// What a slot says of its record.
private struct Head {
    static let size = 32
    /// "slucrec", version 1.
    private static let format: UInt64 = 0x0173_6c75_6372_6563
    /// Nobody writes a record that often.
    private static let mostGenerations: UInt64 = 1 << 62

    private var words: [UInt64]

    var generation: UInt64 { words[1] }
    var length: UInt64 { words[2] }

    /// One for a new record.
    init(generation: UInt64, body: [UInt8]) {
        words = [Self.format, generation, UInt64(body.count), 0]
        words[3] = checksum(body)
    }

    /// One that was found; anything may be in it.
    init(_ bytes: [UInt8]) {
        words = bytes.withUnsafeBytes { buffer in
            (0..<4).map { buffer.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
    }

    var bytes: [UInt8] { words.withUnsafeBytes { Array($0) } }

    /// Nothing has ever been written here.
    var isBlank: Bool { words.allSatisfy { $0 == 0 } }

    /// Worth reading the body for.
    var isPlausible: Bool {
        words[0] == Self.format && generation > 0 && generation < Self.mostGenerations
            && length <= UInt64(RecordFile.largestRecord)
    }

    /// Its body is in the slot's large area.
    var isLarge: Bool { length > UInt64(RecordFile.largestSmallRecord) }

    func matches(_ body: [UInt8]) -> Bool {
        UInt64(body.count) == length && checksum(body) == words[3]
    }

    /// Against accidents, not against people.
    private func checksum(_ body: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0x100_0000_01b3
            // A word's upper bits would only ever reach the hash's own upper bits.
            hash ^= hash >> 32
        }
        for word in words[0..<3] { add(word) }
        body.withUnsafeBytes { bytes in
            var position = 0
            while position + 8 <= bytes.count {
                add(bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                position += 8
            }
            while position < bytes.count {
                add(UInt64(bytes[position]))
                position += 1
            }
        }
        return hash
    }
}
