internal import CUnix
internal import Glibc
public import SystemPackage

/// A pipe whose two ends have separate owners (`pipe(7)`).
///
/// The write end is non-blocking. The read end is blocking, since a consumer's `fread` has to wait for bytes.
@frozen
public struct Pipe: ~Copyable, Sendable {
    /// Where bytes come out. Blocking.
    public var readEnd: OwnedDescriptor
    /// Where bytes go in. O_NONBLOCK.
    public var writeEnd: OwnedDescriptor

    /// Makes a pipe of the kernel's default capacity: 64 KiB, or 8 KiB for a user past
    /// `/proc/sys/fs/pipe-user-pages-soft`.
    ///
    /// - Throws: `Errno.tooManyOpenFiles`; `Errno.tooManyOpenFilesInSystem`, also for a user past
    ///   `pipe-user-pages-hard`.
    public init() throws(Errno) {
        var ends: [CInt] = [-1, -1]
        _ = try valueOrErrno(cunix_pipe2(&ends, true))
        readEnd = OwnedDescriptor(adopting: ends[0])
        writeEnd = OwnedDescriptor(adopting: ends[1])
    }
}

extension OwnedDescriptor {
    /// The pipe's capacity in bytes: its slots times the page size (F_GETPIPE_SZ).
    public borrowing func pipeCapacity() throws(Errno) -> Int {
        Int(try valueOrErrno(cunix_get_pipe_size(rawValue)))
    }

    /// Asks for a capacity; the kernel rounds up to a power of two of pages (F_SETPIPE_SZ).
    ///
    /// - Returns: the capacity that it has now.
    /// - Throws: `Errno.notPermitted` past the user's share (`pipe-user-pages-soft`) or past `pipe-max-size`;
    ///   `Errno.resourceBusy` where the bytes in the pipe would not fit.
    public borrowing func setPipeCapacity(_ bytes: Int) throws(Errno) -> Int {
        Int(try valueOrErrno(cunix_set_pipe_size(rawValue, CInt(clamping: bytes))))
    }

    /// How many bytes wait in the pipe or socket (FIONREAD).
    public borrowing func readableBytes() throws(Errno) -> Int {
        Int(try valueOrErrno(cunix_bytes_readable(rawValue)))
    }

    /// Opens the same pipe once more through `/proc/self/fd`, for reading and writing, non-blocking.
    ///
    /// Such a descriptor reports no hang-up, since its holder is reader and writer at once.
    public borrowing func reopenedForReadingAndWriting() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(cunix_reopen_read_write(rawValue)))
    }

    /// Allows every process that has the pipe's read end to open the pipe again for reading, as `/dev/stdin` or
    /// `/dev/fd/N`, and no process to open it for writing: the pipe's mode becomes 0444 (`fchmod(2)`).
    ///
    /// A new pipe has mode 0600 and belongs to the user who made it, so a consumer that runs as another user could
    /// not reopen it. Ptrace access (`proc(5)`), and not the mode, decides which process can reach `/proc/PID/fd/N`
    /// at all. Neither restricts a process with CAP_DAC_OVERRIDE.
    ///
    /// - Throws: `Errno.notPermitted` where the pipe belongs to another user.
    public borrowing func letReadersReopen() throws(Errno) {
        _ = try valueOrErrno(fchmod(rawValue, 0o444))
    }

    /// Opens the pipe with O_PATH (`open(2)`): the descriptor names the pipe, and counts neither as a reader nor as a
    /// writer.
    ///
    /// The kernel frees the pipe's buffers when its last reader and writer close, even while such descriptors are
    /// open.
    public borrowing func pipePlace() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(cunix_open_place(rawValue)))
    }

    /// Opens a pipe through `/proc/self/fd`, for reading, non-blocking. The descriptor may be one that `pipePlace`
    /// returned.
    ///
    /// A pipe that has no reader and no writer any more becomes usable again by this: it is empty and has the
    /// kernel's default capacity.
    public borrowing func reopenedForReading() throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(cunix_reopen_read(rawValue)))
    }
}
