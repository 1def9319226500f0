internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage

/// One page of 64-bit counters that several processes share through a memory file (`memfd_create(2)`).
///
/// The file is sealed against shrinking before anybody maps it, so that no other holder can make an access here
/// fault (SIGBUS).
///
/// ## Concurrency model
/// Each counter is atomic on its own; several are never read at one moment. A load acquires, a store releases.
public final class SharedCounters: @unchecked Sendable {
    // @unchecked: `base` never changes, and what it points at is only touched through atomics.

    /// The counters that fit.
    public static let count = pageSize / MemoryLayout<UInt64>.stride
    static let pageSize = 4096

    private let base: UnsafeMutablePointer<Atomic<UInt64>>

    /// Makes a memory file of one page, all zero and sealed in size.
    ///
    /// - Parameter name: for people who look into `/proc/PID/fd`.
    /// - Throws: `Errno.tooManyOpenFiles`, `Errno.noMemory`.
    public static func makeFile(name: String) throws(Errno) -> OwnedDescriptor {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd(name)))
        _ = try valueOrErrno(ftruncate(file.rawValue, off_t(pageSize)))
        _ = try valueOrErrno(cunix_seal_size(file.rawValue))
        return file
    }

    /// Maps such a file, wherever it came from.
    ///
    /// - Throws: `Errno.invalidArgument` for a file of another size, or one whose size is not sealed.
    public init(mapping file: borrowing OwnedDescriptor) throws(Errno) {
        var status = stat()
        _ = try valueOrErrno(fstat(file.rawValue, &status))
        guard status.st_size == off_t(Self.pageSize), cunix_size_is_sealed(file.rawValue) else {
            throw Errno.invalidArgument
        }
        guard
            let page = mmap(nil, Self.pageSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.rawValue, 0),
            page != MAP_FAILED
        else { throw Errno(rawValue: errno) }
        base = page.bindMemory(to: Atomic<UInt64>.self, capacity: Self.count)
    }

    deinit {
        munmap(base, Self.pageSize)
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
}
