internal import CTestKit
internal import Glibc
public import SystemPackage
public import Unix

/// A terminal for a program to write to, and its other end, where the test reads what was written.
public final class PseudoTerminal: Sendable {
    /// The end of the test.
    public let leader: OwnedDescriptor
    /// The end of the program: in raw mode, and no process's controlling terminal.
    public let terminal: OwnedDescriptor

    /// Opens a terminal with this number of columns.
    ///
    /// - Throws: the error of `posix_openpt(3)`.
    public init(columns: Int = 80) throws(Errno) {
        var ends: [CInt] = [-1, -1]
        _ = try valueOrErrno(ctestkit_open_terminal(&ends, CInt(columns)))
        leader = OwnedDescriptor(adopting: ends[0])
        terminal = OwnedDescriptor(adopting: ends[1])
    }

    /// The text that was written to it and not taken yet.
    public func takeText() -> String {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        var entry = pollfd(fd: leader.rawValue, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 0) == 1, CInt(entry.revents) & POLLIN != 0 {
            let count = read(leader.rawValue, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
