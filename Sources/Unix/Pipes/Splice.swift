internal import CUnix
internal import Glibc
public import SystemPackage

/// Moving pages between descriptors without passing them through this process (`splice(2)`).
public enum Splice {
    /// Moves the bytes that can be moved without waiting.
    ///
    /// - Returns: the number of bytes; 0 at the end of the input.
    /// - Throws: `Errno.wouldBlock` where the input is empty or the output full, `Errno.brokenPipe` where the output
    ///   has no reader any more, `Errno.invalidArgument` where neither is a pipe or one of them cannot be spliced.
    public static func move(
        from source: borrowing OwnedDescriptor, to sink: borrowing OwnedDescriptor, count: Int
    ) throws(Errno) -> Int {
        while true {
            let moved = cunix_splice(source.rawValue, sink.rawValue, count)
            if moved < 0, errno == EINTR { continue }
            return Int(try valueOrErrno(moved))
        }
    }

    /// Moves some bytes. Waits while there is nothing to move or no room.
    ///
    /// - Returns: the number of bytes; 0 at the end of the input.
    /// - Throws: as `move`, without `Errno.wouldBlock`; `Errno.interrupted` where a signal came first.
    public static func waitAndMove(from source: CInt, to sink: CInt, count: Int) throws(Errno) -> Int {
        Int(try valueOrErrno(cunix_splice_blocking(source, sink, count)))
    }
}
