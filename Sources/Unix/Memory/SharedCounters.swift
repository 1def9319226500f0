internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage

/// 64-bit counters, and a note (a string of bytes), that several processes share through a memory file
/// (`memfd_create(2)`).
///
/// The file is sealed against shrinking before any process maps it, so that no other holder can make an access here
/// fault (SIGBUS).
///
/// ## Concurrency model
/// Each counter is atomic on its own; several counters are never read as of one moment. A load acquires, a store
/// releases. The note is not atomic: the writer stores a counter after it has written the note, and a reader that has
/// loaded that counter checks the bytes that it has copied.
public final class SharedCounters: @unchecked Sendable {
    // @unchecked: `base` never changes. The counters behind it are atomic, and the protocol above orders accesses to
    // the note.

    /// How many counters there are.
    public static let count = 64
    /// The longest note, in bytes. A short one is in the counters' own page, and costs no memory beyond it.
    public static let noteCapacity = fileSize - noteOffset
    /// Size of the file, in bytes: four pages. A page takes memory only once it was written.
    static let fileSize = 16 << 10
    private static let noteOffset = count * MemoryLayout<UInt64>.stride

    private let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Makes a memory file for the counters, all zero and sealed in size.
    ///
    /// - Parameter name: for users who look into `/proc/PID/fd`.
    /// - Throws: `Errno.tooManyOpenFiles`, `Errno.noMemory`.
    public static func makeFile(name: String) throws(Errno) -> OwnedDescriptor {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd(name)))
        _ = try valueOrErrno(ftruncate(file.rawValue, off_t(fileSize)))
        _ = try valueOrErrno(cunix_seal_size(file.rawValue))
        return file
    }

    /// Maps such a file, which may come from another process.
    ///
    /// - Throws: `Errno.invalidArgument` for a file of another size, or one whose size is not sealed.
    public init(mapping file: borrowing OwnedDescriptor) throws(Errno) {
        var status = stat()
        _ = try valueOrErrno(fstat(file.rawValue, &status))
        guard status.st_size == off_t(Self.fileSize), cunix_size_is_sealed(file.rawValue) else {
            throw Errno.invalidArgument
        }
        guard
            let page = mmap(nil, Self.fileSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0),
            page != MAP_FAILED
        else { throw Errno(rawValue: errno) }
        base = page.bindMemory(to: Atomic<UInt64>.self, capacity: Self.count)
    }

    deinit {
        munmap(base, Self.fileSize)
    }

    /// The value of the counter at `index`, from 0 up to `count`.
    public func load(_ index: Int) -> UInt64 {
        precondition((0..<Self.count).contains(index))
        return base[index].load(ordering: .acquiring)
    }

    /// Sets the counter at `index`.
    public func store(_ value: UInt64, at index: Int) {
        precondition((0..<Self.count).contains(index))
        base[index].store(value, ordering: .releasing)
    }

    /// Writes a note. A reader must not rely on it before a counter says that it is there.
    ///
    /// - Returns: false where the note is longer than `noteCapacity`; nothing is written then.
    public func storeNote(_ bytes: [UInt8]) -> Bool {
        guard bytes.count <= Self.noteCapacity else { return false }
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawPointer(base).advanced(by: Self.noteOffset)
                .copyMemory(from: source.baseAddress ?? UnsafeRawPointer(base), byteCount: source.count)
        }
        return true
    }

    /// A copy of the first `length` bytes of the note, whatever they are; nil where `length` is out of range.
    public func loadNote(_ length: Int) -> [UInt8]? {
        guard (0...Self.noteCapacity).contains(length) else { return nil }
        return [UInt8](
            UnsafeRawBufferPointer(start: UnsafeRawPointer(base).advanced(by: Self.noteOffset), count: length)
        )
    }
}
