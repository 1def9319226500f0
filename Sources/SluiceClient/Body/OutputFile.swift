internal import Glibc
internal import Synchronization
internal import SystemPackage
public import UnixSockets

/// A file that appears under its name only once it is whole.
///
/// The body is written under another name beside it, made with O_EXCL and the permissions of a new file. What is
/// there under the name stays untouched until `commit`. A symbolic link is followed: what it points to is replaced.
/// What exists and is no regular file (a device, a FIFO) cannot be replaced and is written to directly.
///
/// ## Concurrency model
/// One flag says whether the temporary name is still there; who takes it down acts, so that `commit` and `discard` may
/// come from two threads.
public final class OutputFile: Sendable {
    /// What to write to.
    public let descriptor: OwnedDescriptor
    /// The name under which it will appear.
    public let path: String
    /// The name meanwhile; nil where it is written to directly.
    public let temporaryPath: String?
    private let isPending = Atomic(true)

    /// Makes the file under its temporary name.
    ///
    /// - Throws: `.local` where the directory is missing or not writable, or the name is a directory's.
    public init(path wanted: String) throws(SluiceError) {
        let path = Self.resolved(wanted)
        self.path = path
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            guard status.st_mode & S_IFMT != S_IFDIR else {
                throw SluiceError(.local, "\(wanted) is a directory", remedy: "name a file in it")
            }
            descriptor = try Self.open(path, O_WRONLY, wanted)
            temporaryPath = nil
            return
        }
        var attempt = 0
        while true {
            let temporary = Self.temporaryName(for: path, UInt32.random(in: 0...UInt32.max))
            let made = Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
            if made >= 0 {
                descriptor = OwnedDescriptor(adopting: made)
                temporaryPath = temporary
                return
            }
            attempt += 1
            guard errno == EEXIST, attempt < 100 else { throw Self.failure("make", wanted) }
        }
    }

    /// Puts the file under its name, once its bytes are on the disk (`fsync(2)`).
    ///
    /// - Throws: `.local`; the temporary name is gone then.
    public func commit() throws(SluiceError) {
        guard let temporaryPath else { return }
        while fsync(descriptor.rawValue) < 0 {
            if errno == EINTR { continue }
            // What cannot be synchronised is no reason to lose a body that is there (fsync(2): EROFS, EINVAL).
            if errno == EINVAL || errno == EROFS { break }
            let error = Self.failure("write", path)
            discard()
            throw error
        }
        guard isPending.exchange(false, ordering: .acquiringAndReleasing) else {
            throw SluiceError(.local, "\(path) was given up")
        }
        guard rename(temporaryPath, path) == 0 else {
            let error = Self.failure("name", path)
            unlink(temporaryPath)
            throw error
        }
        synchronizeDirectory()
    }

    /// Removes the temporary file. Does nothing the second time, or after `commit`.
    public func discard() {
        guard let temporaryPath, isPending.exchange(false, ordering: .acquiringAndReleasing) else { return }
        unlink(temporaryPath)
    }

    /// `.NAME.sluice-RANDOM` beside the file, shortened to what a file system takes.
    static func temporaryName(for path: String, _ random: UInt32) -> String {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { path[...$0] } ?? ""
        let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
        var start = String(name)
        while start.utf8.count > 230 { start.removeLast() }
        return "\(directory).\(start).sluice-\(String(random, radix: 36))"
    }

    private static func resolved(_ path: String) -> String {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK,
            let target = realpath(path, nil)
        else { return path }
        defer { free(target) }
        return String(cString: target)
    }

    private static func open(
        _ path: String, _ flags: CInt, _ wanted: String
    ) throws(SluiceError) -> OwnedDescriptor {
        let opened = Glibc.open(path, flags | O_CLOEXEC)
        guard opened >= 0 else { throw failure("open", wanted) }
        return OwnedDescriptor(adopting: opened)
    }

    private static func failure(_ verb: String, _ path: String) -> SluiceError {
        SluiceError(.local, "cannot \(verb) \(path): \(Errno(rawValue: errno))")
    }

    private func synchronizeDirectory() {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let opened = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { return }
        // The name is there; that it may be lost with the power is all that a failure here would mean.
        fsync(opened)
        close(opened)
    }
}
