internal import Glibc
internal import UnixSockets

/// Which program a client is, for the record of its jobs.
///
/// What `proc(5)` says is true of the moment of the look: the process may have ended, or run another program since it
/// connected. A number that has gone to a process of another user is not taken for the client. A client that wants another
/// name in the record can have one; user and process are vouched for by the kernel, the program is not.
enum ClientProgram {
    /// Bytes of a path that are recorded.
    private static let longestPath = 512
    private static let longestName = 64

    /// The path of the client's executable; its name (`/proc/PID/comm`) where the path may not be seen, as for processes of
    /// other users; nil where neither may, as behind `ProtectProc=invisible` (`systemd.exec(5)`). Costs one system call
    /// there, and seven at most.
    static func find(_ peer: PeerCredentials) -> String? {
        guard peer.processID > 0 else { return nil }
        let number = open("/proc/\(peer.processID)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        // Once open, it is of this very process, and empty when that has ended.
        let process = OwnedDescriptor(adopting: number)
        var status = stat()
        guard fstat(process.rawValue, &status) == 0, status.st_uid == peer.userID else { return nil }
        return path(process) ?? name(process)
    }

    private static func path(_ process: borrowing OwnedDescriptor) -> String? {
        var buffer = [CChar](repeating: 0, count: longestPath)
        return text(readlinkat(process.rawValue, "exe", &buffer, longestPath), buffer)
    }

    private static func name(_ process: borrowing OwnedDescriptor) -> String? {
        let number = openat(process.rawValue, "comm", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(adopting: number)
        var buffer = [CChar](repeating: 0, count: longestName)
        let count = read(file.rawValue, &buffer, longestName)
        return text(buffer.prefix(max(0, count)).last == 0x0a ? count - 1 : count, buffer)
    }

    private static func text(_ count: Int, _ buffer: [CChar]) -> String? {
        guard count > 0 else { return nil }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
