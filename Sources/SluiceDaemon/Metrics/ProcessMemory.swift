internal import Glibc
internal import UnixSockets

/// What processes of ours take of the machine's memory (`proc_pid_statm(5)`).
enum ProcessMemory {
    /// Bytes that a process has in memory and shares with no file: about what it costs. Nil where it has ended, or where
    /// /proc shows nothing.
    ///
    /// Costs three system calls.
    static func anonymous(_ processID: Int32) -> Int? {
        let number = open("/proc/\(processID)/statm", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(adopting: number)
        var bytes = [UInt8](repeating: 0, count: 256)
        let count = read(file.rawValue, &bytes, bytes.count)
        guard count > 0 else { return nil }
        // Size, resident, shared, and more, in pages.
        let fields = bytes[..<count].split(separator: UInt8(ascii: " ")).prefix(3).map {
            Int(String(decoding: $0, as: UTF8.self))
        }
        guard fields.count == 3, let resident = fields[1], let shared = fields[2] else { return nil }
        return max(0, resident - shared) * Int(getpagesize())
    }
}
