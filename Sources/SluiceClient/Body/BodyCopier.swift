internal import CUnix
internal import Glibc
internal import SystemPackage
public import Unix

/// Moves a body from its pipe to another descriptor, without copying pages where the output allows it (`splice(2)`).
///
/// The process must ignore SIGPIPE.
public struct BodyCopier: Sendable {
    /// Why a copy ended.
    public enum End: Sendable, Equatable {
        /// The pipe has ended. Only the service knows whether the body is complete.
        case endOfPipe
        /// The output has no reader any more.
        case outputClosed
    }

    /// How a copy ended.
    public struct Result: Sendable, Equatable {
        /// Why it ended.
        public var end: End
        /// Bytes that the output took.
        public var bytes: Int
        /// Whether all of them were moved without passing through this process.
        public var isSpliced: Bool

        /// Creates a result from its fields.
        public init(end: End, bytes: Int, isSpliced: Bool) {
            self.end = end
            self.bytes = bytes
            self.isSpliced = isSpliced
        }
    }

    /// The size of one `splice`: more than a pipe can hold.
    static let spliceSize = 4 << 20
    /// A body is large once this number of bytes have arrived.
    static let largeBody = 1 << 20
    /// The size of the output's pipe for a large body, in bytes. With the default of 64 KiB this process and the
    /// reader would wake each other all the time.
    static let grownPipe = 256 << 10
    /// The size of the buffer for outputs that cannot be spliced to: a terminal, a file opened for appending.
    static let bufferSize = 256 << 10

    private enum Step {
        case moved(Int)
        case end(End)
        case cannotSplice
    }

    /// The number of bytes after which the kernel is asked to write them to the disk.
    static let writeBackSize = 8 << 20

    /// Has the kernel write a new file to the disk while more is added to it.
    private struct WriteBack {
        let file: CInt?
        private var done = 0

        init(file: CInt?) { self.file = file }

        mutating func reached(_ bytes: Int) {
            guard let file, bytes - done >= BodyCopier.writeBackSize else { return }
            // Where a file system cannot do this, it writes at the end.
            _ = cunix_start_writing_back(file, Int64(done), Int64(bytes - done))
            done = bytes
        }
    }

    private let output: CInt
    private let writesBack: Bool

    /// Copies to a descriptor that stays the caller's. It may be blocking or not.
    ///
    /// - Parameter writesBack: the output is a new regular file that will be synchronised (`fsync(2)`), so the kernel is to
    ///   begin to write while the body still flows. By itself it waits for some seconds, and the synchronisation would
    ///   have to write everything at the end.
    public init(to output: Int32, writesBack: Bool = false) {
        self.output = output
        self.writesBack = writesBack
    }

    /// Copies until the pipe ends or the output has no reader any more. Waits as long as that takes. For a large body the
    /// calling thread becomes batch work (`SCHED_BATCH`, sched(7)).
    ///
    /// Where the output is a pipe, the end of its reader is noticed even while no bytes arrive.
    ///
    /// - Throws: `.local` where the output fails: for example, the disk is full or the descriptor is closed.
    public func copy(from pipe: borrowing OwnedDescriptor) throws(SluiceError) -> Result {
        var result = Result(end: .endOfPipe, bytes: 0, isSpliced: true)
        var isGrown = false
        var writeBack = WriteBack(file: writesBack ? output : nil)
        while true {
            switch try splice(pipe) {
            case .moved(let count):
                result.bytes += count
                writeBack.reached(result.bytes)
                guard !isGrown, result.bytes >= Self.largeBody else { continue }
                isGrown = true
                growOutput()
                // Each piece that the reader takes wakes this thread. If it ran at once, it would take the processor from
                // the reader for that piece.
                cunix_schedule_as_batch()
            case .end(let end):
                result.end = end
                return result
            case .cannotSplice:
                result.isSpliced = false
                result.end = try copyThroughBuffer(pipe, &result.bytes, &writeBack)
                return result
            }
        }
    }

    /// Waits until there are bytes in a body's pipe, and takes none.
    ///
    /// - Returns: false where the pipe has ended without bytes.
    public static func waitForBytes(in pipe: borrowing OwnedDescriptor) -> Bool {
        var entry = pollfd(fd: pipe.rawValue, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, -1) < 0, errno == EINTR {}
        return Int32(entry.revents) & POLLIN != 0
    }

    /// An output that is no pipe, or may not be grown, stays as it is.
    private func growOutput() {
        let pipe = OwnedDescriptor(adopting: output)
        if let capacity = try? pipe.pipeCapacity(), capacity < Self.grownPipe {
            _ = try? pipe.setPipeCapacity(Self.grownPipe)
        }
        // The descriptor stays the caller's.
        _ = pipe.release()
    }

    private func splice(_ pipe: borrowing OwnedDescriptor) throws(SluiceError) -> Step {
        while true {
            // The first try does not wait: a wait for input would not notice that the output's reader has gone.
            var moved = cunix_splice(pipe.rawValue, output, Self.spliceSize)
            if moved < 0, errno == EAGAIN {
                guard try waitForInput(pipe) else { return .end(.outputClosed) }
                // There is input now, so this call waits only for the output.
                moved = cunix_splice_blocking(pipe.rawValue, output, Self.spliceSize)
            }
            if moved > 0 { return .moved(moved) }
            if moved == 0 { return .end(.endOfPipe) }
            switch errno {
            case EINTR: continue
            case EAGAIN: try waitForOutput()
            case EPIPE: return .end(.outputClosed)
            case EINVAL: return .cannotSplice
            default: throw failure()
            }
        }
    }

    private func copyThroughBuffer(
        _ pipe: borrowing OwnedDescriptor, _ total: inout Int, _ writeBack: inout WriteBack
    ) throws(SluiceError) -> End {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            guard try waitForInput(pipe) else { return .outputClosed }
            let count = read(pipe.rawValue, buffer.baseAddress, buffer.count)
            if count == 0 { return .endOfPipe }
            if count < 0 {
                if errno == EINTR || errno == EAGAIN { continue }
                throw SluiceError(.local, "the body's pipe cannot be read: \(Errno(rawValue: errno))")
            }
            guard try writeAll(UnsafeRawBufferPointer(rebasing: buffer[..<count]), &total) else {
                return .outputClosed
            }
            writeBack.reached(total)
        }
    }

    /// - Returns: false where the output has no reader any more.
    private func writeAll(_ bytes: UnsafeRawBufferPointer, _ total: inout Int) throws(SluiceError) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = write(output, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written >= 0 {
                total += written
                rest = rest.dropFirst(written)
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: try waitForOutput()
            case EPIPE: return false
            default: throw failure()
            }
        }
        return true
    }

    /// - Returns: false where the output has no reader any more.
    private func waitForInput(_ pipe: borrowing OwnedDescriptor) throws(SluiceError) -> Bool {
        // The entry of the output asks for no events: POLLERR, for a pipe without readers, is always reported.
        var entries = [
            pollfd(fd: pipe.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: output, events: 0, revents: 0),
        ]
        while poll(&entries, 2, -1) < 0 {
            guard errno == EINTR else { throw failure() }
        }
        if entries[0].revents != 0 { return true }
        return Int32(entries[1].revents) & POLLERR == 0
    }

    private func waitForOutput() throws(SluiceError) {
        var entry = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
        while poll(&entry, 1, -1) < 0 {
            guard errno == EINTR else { throw failure() }
        }
    }

    private func failure() -> SluiceError {
        let error = Errno(rawValue: errno)
        return SluiceError(
            .local, "the output cannot be written: \(error)",
            remedy: error == .noSpace ? "make room and fetch again" : nil)
    }
}
