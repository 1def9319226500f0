internal import Glibc
internal import SystemPackage
internal import Unix

/// The file that `OutcomeFile` uses: bytes and system calls, without their meaning.
///
/// Appended bytes are in the file completely or not at all, unless the process is killed meanwhile.
struct OutcomeStorage: ~Copyable {
    /// A piece of the file, in bytes.
    struct Extent: Equatable {
        var offset: Int
        var length: Int
        var end: Int { offset + length }
    }

    private let path: String
    private let directory: OwnedDescriptor
    private var file: OwnedDescriptor
    /// The file's size as of the last read or write of this process.
    private(set) var size: Int
    /// The file ends with an incomplete line, so a newline must precede the next line.
    private(set) var needsNewline = false

    /// Opens the file in a directory, or creates it.
    init(directory path: String, name: String) throws(OutcomeFileError) {
        let flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC
        let directory = OwnedDescriptor(
            adopting: try Self.check(path, "open", Glibc.open(path, flags)))
        // Lock the directory and not the file, because the file gets replaced.
        guard flock(directory.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            if errno == EWOULDBLOCK { throw .inUse(path: path) }
            throw .system(path: path, call: "flock", errno: Errno(rawValue: errno))
        }
        let filePath = path + "/" + name
        let file = try Self.open(in: directory, name: name, path: filePath, truncate: false)
        size = try Self.size(of: file, path: filePath)
        self.path = filePath
        self.directory = directory
        self.file = file
    }

    /// Whether the file still exists and has the expected size.
    borrowing func isUnchanged() -> Bool {
        var status = stat()
        return fstat(file.rawValue, &status) == 0 && status.st_nlink > 0 && Int(status.st_size) == size
    }

    /// Reads the last `most` bytes, and returns them with their offset in the file.
    mutating func readTail(_ most: Int) throws(OutcomeFileError) -> (offset: Int, bytes: [UInt8]) {
        size = try Self.size(of: file, path: path)
        let offset = max(0, size - most)
        let bytes = try read(Extent(offset: offset, length: size - offset))
        needsNewline = bytes.last.map { $0 != UInt8(ascii: "\n") } ?? false
        return (offset, bytes)
    }

    /// Appends bytes, preceded by a newline if `needsNewline`.
    ///
    /// - Returns: the offset of the bytes in the file.
    mutating func append(_ bytes: [UInt8]) throws(OutcomeFileError) -> Int {
        let whole = needsNewline ? [UInt8(ascii: "\n")] + bytes : bytes
        do {
            try Self.write(whole, to: file, path: path)
        } catch {
            // The file may have a part of the bytes. If it cannot be removed, end its line before the next one.
            if ftruncate(file.rawValue, off_t(size)) != 0 { needsNewline = true }
            size = (try? Self.size(of: file, path: path)) ?? size
            throw error
        }
        needsNewline = false
        size += whole.count
        return size - bytes.count
    }

    /// Replaces the file atomically by one that has only these ranges.
    ///
    /// - Parameter temporary: the name of the new file until then. An existing file with this name is overwritten.
    mutating func replace(with ranges: [Extent], name: String, temporary: String) throws(OutcomeFileError) {
        let new = try Self.open(in: directory, name: temporary, path: path, truncate: true)
        do {
            var newSize = 0
            var gathered: [UInt8] = []
            for range in ranges {
                gathered += try read(range)
                newSize += range.length
                guard gathered.count >= 256 * 1024 else { continue }
                try Self.write(gathered, to: new, path: path)
                gathered.removeAll(keepingCapacity: true)
            }
            try Self.write(gathered, to: new, path: path)
            _ = try Self.check(
                path, "rename", renameat(directory.rawValue, temporary, directory.rawValue, name))
            size = newSize
        } catch {
            unlinkat(directory.rawValue, temporary, 0)
            throw error
        }
        needsNewline = false
        file = new
    }

    private static func size(
        of file: borrowing OwnedDescriptor, path: String
    ) throws(OutcomeFileError) -> Int {
        var status = stat()
        _ = try check(path, "fstat", fstat(file.rawValue, &status))
        return Int(status.st_size)
    }

    /// Reads a range. The result is shorter if the file has become shorter.
    private borrowing func read(_ range: Extent) throws(OutcomeFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.length)
        var done = 0
        while done < range.length {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    file.rawValue, buffer.baseAddress?.advanced(by: done), range.length - done,
                    off_t(range.offset + done))
            }
            if got < 0, errno == EINTR { continue }
            if try Self.check(path, "pread", got) == 0 { break }
            done += got
        }
        return done == bytes.count ? bytes : Array(bytes[..<done])
    }

    private static func write(
        _ bytes: [UInt8], to file: borrowing OwnedDescriptor, path: String
    ) throws(OutcomeFileError) {
        var done = 0
        while done < bytes.count {
            let put = bytes.withUnsafeBytes { buffer in
                Glibc.write(file.rawValue, buffer.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if put < 0, errno == EINTR { continue }
            done += try check(path, "write", put)
        }
    }

    private static func open(
        in directory: borrowing OwnedDescriptor, name: String, path: String, truncate: Bool
    ) throws(OutcomeFileError) -> OwnedDescriptor {
        // O_NONBLOCK: a FIFO of that name must not block the daemon.
        let flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let file = OwnedDescriptor(
            adopting: try check(
                path, "open", openat(directory.rawValue, name, flags | (truncate ? O_TRUNC : 0), 0o600)))
        var status = stat()
        _ = try check(path, "fstat", fstat(file.rawValue, &status))
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
        _ = try check(path, "fchmod", fchmod(file.rawValue, 0o600))
        return file
    }

    private static func check<Value: SignedInteger>(
        _ path: String, _ call: String, _ value: Value
    ) throws(OutcomeFileError) -> Value {
        guard value >= 0 else { throw .system(path: path, call: call, errno: Errno(rawValue: errno)) }
        return value
    }
}
