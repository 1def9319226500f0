internal import Glibc
internal import Unix

/// Finds out which program a client is, for the record of its jobs.
///
/// `proc(5)` describes the process at the moment of the look. Since it connected, the process may have ended or have
/// executed another program. A process ID that the kernel has since given to a process of another user is not taken for
/// the client. The kernel vouches for the user and the process, but not for the program: a client can make the record
/// show another name.
enum ClientProgram {
    /// The number of bytes of a path that are recorded.
    private static let longestPath = 512
    private static let longestName = 64

    /// The path of the client's executable. If the service may not read the path, as for processes of other users, the
    /// process's name (`/proc/PID/comm`). Nil if the service may read neither, as behind `ProtectProc=invisible`
    /// (`systemd.exec(5)`); that case costs one system call. Costs seven system calls at most.
    static func find(_ peer: PeerCredentials) -> String? {
        guard peer.processID > 0 else { return nil }
        let number = open("/proc/\(peer.processID)", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        // Once open, the directory belongs to this very process, and is empty after the process has ended.
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
