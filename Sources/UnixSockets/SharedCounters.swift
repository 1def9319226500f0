internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage

/// 64-bit counters, and room for a note, that several processes share through a memory file (`memfd_create(2)`).
///
/// The file is sealed against shrinking before anybody maps it, so that no other holder can make an access here
/// fault (SIGBUS).
///
/// ## Concurrency model
/// Each counter is atomic on its own; several are never read at one moment. A load acquires, a store releases. The note
/// is bytes: a counter that is stored after it says that it is whole, and a reader checks what it has copied.
public final class SharedCounters: @unchecked Sendable {
    // @unchecked: `base` never changes, and what it points at is only touched through atomics.

    /// How many counters there are.
    public static let count = 64
    /// The longest note, in bytes. A short one is in the counters' own page, and costs no memory beyond it.
    public static let noteCapacity = fileSize - noteOffset
    /// Of the file, in bytes: four pages, which exist once something is in them.
    static let fileSize = 16 << 10
    private static let noteOffset = count * MemoryLayout<UInt64>.stride

    private let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Makes a memory file for them, all zero and sealed in size.
    ///
    /// - Parameter name: for people who look into `/proc/PID/fd`.
    /// - Throws: `Errno.tooManyOpenFiles`, `Errno.noMemory`.
    public static func makeFile(name: String) throws(Errno) -> OwnedDescriptor {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd(name)))
        _ = try valueOrErrno(ftruncate(file.rawValue, off_t(fileSize)))
        _ = try valueOrErrno(cunix_seal_size(file.rawValue))
        return file
    }

    /// Maps such a file, wherever it came from.
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

    /// Writes a note; nobody may rely on it before a counter says that it is there.
    ///
    /// - Returns: false where it is longer than `noteCapacity`; nothing is written then.
    public func storeNote(_ bytes: [UInt8]) -> Bool {
        guard bytes.count <= Self.noteCapacity else { return false }
        bytes.withUnsafeBytes { source in
            UnsafeMutableRawPointer(base).advanced(by: Self.noteOffset)
                .copyMemory(from: source.baseAddress ?? UnsafeRawPointer(base), byteCount: source.count)
        }
        return true
    }

    /// A copy of the first `length` bytes of the note, whatever they are; nil for more than fit.
    public func loadNote(_ length: Int) -> [UInt8]? {
        guard (0...Self.noteCapacity).contains(length) else { return nil }
        return [UInt8](
            UnsafeRawBufferPointer(start: UnsafeRawPointer(base).advanced(by: Self.noteOffset), count: length)
        )
    }
}
