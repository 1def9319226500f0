internal import Glibc
internal import Synchronization
internal import SystemPackage
public import Unix

/// A file that appears under its name only once it is complete.
///
/// The body is written to a file with another name in the same directory, made with O_EXCL. A file that already has
/// the name stays untouched until `commit`. Its permissions are kept, and its owner as far as this user may give
/// files away. A new file gets the owner and the permissions of a new file. A symbolic link is followed: its target
/// is replaced, or made.
///
/// A file that exists and is no regular file (a device, a FIFO) cannot be replaced and is written to directly. The
/// same holds for a file that is already open (`/dev/stdout`, `/dev/fd/3`).
///
/// ## Concurrency model
/// One flag says whether the temporary name still exists. The thread that clears the flag acts, so `commit` and
/// `discard` may come from two threads.
public final class OutputFile: Sendable {
    /// The descriptor to write to.
    public let descriptor: OwnedDescriptor
    /// The final name of the file.
    public let path: String
    /// The temporary name; nil where the file is written to directly.
    public let temporaryPath: String?
    private let isPending = Atomic(true)

    /// Makes the file under its temporary name.
    ///
    /// - Throws: `.local` where the directory is missing or not writable, or where the name is that of a directory.
    public init(path wanted: String) throws(SluiceError) {
        if let number = Self.openDescriptor(wanted) {
            path = wanted
            let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
            guard copy >= 0 else { throw Self.failure("open", wanted) }
            descriptor = OwnedDescriptor(adopting: copy)
            temporaryPath = nil
            return
        }
        let path = try Self.resolved(wanted)
        self.path = path
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists, status.st_mode & S_IFMT != S_IFREG {
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
            let made = Glibc.open(
                temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, exists ? 0o600 : 0o666)
            if made >= 0 {
                descriptor = OwnedDescriptor(adopting: made)
                if exists { Self.keep(status, for: made) }
                temporaryPath = temporary
                return
            }
            attempt += 1
            guard errno == EEXIST, attempt < 100 else { throw Self.failure("make", wanted) }
        }
    }

    /// Gives the file its final name, once its bytes are on the disk (`fsync(2)`).
    ///
    /// - Throws: `.local`; the temporary file is removed then.
    public func commit() throws(SluiceError) {
        guard let temporaryPath else { return }
        while fsync(descriptor.rawValue) < 0 {
            if errno == EINTR { continue }
            // A file that cannot be synchronised must not cost a body that is complete (fsync(2): EROFS, EINVAL).
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

    /// `.NAME.sluice-RANDOM` beside the file, shortened to the maximum length of a file name.
    static func temporaryName(for path: String, _ random: UInt32) -> String {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { path[...$0] } ?? ""
        let name = slash.map { path[path.index(after: $0)...] } ?? path[...]
        var start = String(name)
        while start.utf8.count > 230 { start.removeLast() }
        return "\(directory).\(start).sluice-\(String(random, radix: 36))"
    }

    /// The number in `/dev/fd/N` and similar paths. Such a file may be anything and must not be replaced.
    private static func openDescriptor(_ path: String) -> CInt? {
        switch path {
        case "/dev/stdout": return 1
        case "/dev/stderr": return 2
        default:
            let prefix = ["/dev/fd/", "/proc/self/fd/"].first { path.hasPrefix($0) }
            return prefix.flatMap { CInt(path.dropFirst($0.utf8.count)) }
        }
    }

    /// Keeps the owner and the permissions of the file that is replaced.
    private static func keep(_ old: stat, for descriptor: CInt) {
        // Only root may give a file to another user. Other users may give it only to groups that they are in.
        if fchown(descriptor, old.st_uid, old.st_gid) != 0 { _ = fchown(descriptor, uid_t.max, old.st_gid) }
        var new = stat()
        guard fstat(descriptor, &new) == 0 else { return }
        var mode = old.st_mode & 0o777
        // Another group gets no more rights than all users have.
        if new.st_gid != old.st_gid { mode = mode & ~0o070 | (mode & 0o007) << 3 }
        // Where this fails, only this user can access the file.
        fchmod(descriptor, mode)
    }

    /// The path where a chain of symbolic links ends, whether that file exists or not.
    private static func resolved(_ wanted: String) throws(SluiceError) -> String {
        var path = wanted
        // The kernel follows the same number of links (path_resolution(7)).
        for _ in 0...40 {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else { return path }
            var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
            guard readlink(path, &bytes, Int(PATH_MAX)) > 0 else { throw failure("read the link", wanted) }
            let target = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { String(cString: $0) } ?? ""
            }
            let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
            path = target.hasPrefix("/") ? target : directory + target
        }
        throw SluiceError(.local, "cannot make \(wanted): \(Errno.tooManySymbolicLinkLevels)")
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
        // The file already has its name. If this fails, a power failure may undo the renaming.
        fsync(opened)
        close(opened)
    }
}
