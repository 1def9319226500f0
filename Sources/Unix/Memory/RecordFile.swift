internal import CUnix
internal import Glibc
public import SystemPackage

/// What is wrong with a file that should contain a record.
public enum RecordFileError: Error, Equatable, CustomStringConvertible {
    /// It is not a memory file of the right size, sealed and open for reading and writing. This type did not make it.
    case foreign
    /// It was written to, and contains no complete record.
    case damaged
    /// The record is larger than `RecordFile.largestRecord`.
    case tooLarge(bytes: Int)
    /// A system call failed.
    case system(call: String, errno: Errno)

    /// The sentence for the log.
    public var description: String {
        switch self {
        case .foreign: "it is not a record file"
        case .damaged: "it contains no complete record"
        case .tooLarge(let bytes):
            "a record of \(bytes) bytes is larger than \(RecordFile.largestRecord)"
        case .system(let call, let errno): "\(call): \(errno)"
        }
    }
}

/// One record of bytes in a memory file (`memfd_create(2)`), for a process that may be killed between any two of its
/// instructions and be followed by another process that gets the file.
///
/// There are two slots, written in turn. Each contains the number of times that the record had been written, the
/// record's length, and a checksum. The newest complete slot is the record, so a write that a kill interrupted leaves
/// the record before it. The file is in memory: it outlives its process, but not the machine's uptime.
///
/// The size of the file is fixed and sealed, so that no other holder can take pages away, and it is accessed with
/// `pread(2)` and `pwrite(2)`, never mapped. Most of it is a hole: records of up to 2,016 bytes share the first page,
/// a larger one costs its own length in addition (and twice its length while it is rewritten).
///
/// Layout, in the byte order of the machine: `head 0, body 0` and `head 1, body 1` in one half each of the first
/// page, then two areas of `largestRecord` for bodies that do not fit there. A head is four 64-bit words: format,
/// generation, length, checksum (essentially FNV-1a, by words, over the first three and the body).
///
/// The file must have one owner at a time: two writers would both write to the same slot.
public struct RecordFile: ~Copyable, Sendable {
    /// Maximum size of a record, in bytes.
    public static let largestRecord = 192 * 1024
    /// Maximum size of a record that costs one page in all, in bytes.
    public static let largestSmallRecord = pageSize / 2 - Head.size

    static let fileSize = pageSize + 2 * largestRecord
    private static let pageSize = 4096

    /// For the store. Only this type may access what is in the file.
    public let descriptor: OwnedDescriptor
    /// The head of the slot that was written last, which has the record.
    private var current: Head?
    private var slot = 1
    /// Whether the large area of each slot may have pages.
    private var hasLargeBody = [false, false]

    /// Makes an empty file.
    ///
    /// - Parameter name: for users who look into `/proc/PID/fd`.
    /// - Throws: `RecordFileError.system` with `Errno.tooManyOpenFiles` or `Errno.noMemory`.
    public init(name: String) throws(RecordFileError) {
        let file = OwnedDescriptor(adopting: try Self.check("memfd_create", cunix_memfd(name)))
        _ = try Self.check("ftruncate", ftruncate(file.rawValue, off_t(Self.fileSize)))
        _ = try Self.check("fcntl", cunix_seal_size(file.rawValue))
        descriptor = file
    }

    /// Takes over a file that another process may have left, and looks for the newest complete record.
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
    /// - Throws: `damaged` where another process has overwritten it meanwhile.
    public borrowing func read() throws(RecordFileError) -> [UInt8]? {
        guard let current else { return nil }
        let body = try Self.readBytes(Int(current.length), at: Self.bodyOffset(slot, current), of: descriptor)
        guard current.matches(body) else { throw .damaged }
        return body
    }

    /// Replaces the record. Costs two system calls, for a large record up to two more. Before it returns, a reader
    /// finds the old record; after that, the new one.
    ///
    /// - Throws: `tooLarge`, and `system` with `Errno.noMemory`: the file then still has the old record.
    public mutating func write(_ record: [UInt8]) throws(RecordFileError) {
        guard record.count <= Self.largestRecord else { throw .tooLarge(bytes: record.count) }
        let head = Head(generation: (current?.generation ?? 0) + 1, body: record)
        let next = 1 - slot
        if head.isLarge { hasLargeBody[next] = true }
        // The body is written first: a head without its body would make a file without a record look like a damaged
        // one.
        try Self.writeBytes(record, at: Self.bodyOffset(next, head), to: descriptor)
        try Self.writeBytes(head.bytes, at: Self.headOffset(next), to: descriptor)
        let old = slot
        current = head
        slot = next
        releaseLargeBody(old)
        if !head.isLarge { releaseLargeBody(next) }
    }

    /// Frees the pages of a large area that has no record any more.
    private mutating func releaseLargeBody(_ slot: Int) {
        guard hasLargeBody[slot] else { return }
        let offset = Self.pageSize + slot * Self.largestRecord
        // Where the kernel refuses, the pages stay until the next write.
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
            // This cannot happen, since the size is sealed. The check prevents an endless loop.
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

/// The description of a slot's record.
private struct Head {
    static let size = 32
    /// "slucrec", version 1.
    private static let format: UInt64 = 0x0173_6c75_6372_6563
    /// A number that no process ever reaches.
    private static let mostGenerations: UInt64 = 1 << 62

    private var words: [UInt64]

    var generation: UInt64 { words[1] }
    var length: UInt64 { words[2] }

    /// Creates the head of a new record.
    init(generation: UInt64, body: [UInt8]) {
        words = [Self.format, generation, UInt64(body.count), 0]
        words[3] = checksum(body)
    }

    /// Creates a head from bytes that were found. They may be anything.
    init(_ bytes: [UInt8]) {
        words = bytes.withUnsafeBytes { buffer in
            (0..<4).map { buffer.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
        }
    }

    var bytes: [UInt8] { words.withUnsafeBytes { Array($0) } }

    /// Whether nothing was ever written here.
    var isBlank: Bool { words.allSatisfy { $0 == 0 } }

    /// Whether it is worth reading the body.
    var isPlausible: Bool {
        words[0] == Self.format && generation > 0 && generation < Self.mostGenerations
            && length <= UInt64(RecordFile.largestRecord)
    }

    /// Whether the body is in the slot's large area.
    var isLarge: Bool { length > UInt64(RecordFile.largestSmallRecord) }

    func matches(_ body: [UInt8]) -> Bool {
        UInt64(body.count) == length && checksum(body) == words[3]
    }

    /// The checksum detects accidents, not forgery.
    private func checksum(_ body: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ word: UInt64) {
            hash = (hash ^ word) &* 0x100_0000_01b3
            // Without this, the upper bits of a word would affect only the upper bits of the hash.
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
