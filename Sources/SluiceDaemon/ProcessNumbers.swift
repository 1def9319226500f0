internal import Glibc
internal import UnixSockets

/// What the kernel says of a process of ours, again and again (`proc_pid_status(5)`).
///
/// The file is opened once, as soon as the process is there: a lane hides itself from everybody of its user before it hears
/// from anybody, and where the unit has `ProtectProc=invisible` its directory cannot be opened any more then. What was opened
/// before stays readable.
final class ProcessNumbers {
    private let file: OwnedDescriptor

    /// - Returns: nil where /proc shows nothing of the process.
    init?(_ processID: Int32) {
        let number = open("/proc/\(processID)/status", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        file = OwnedDescriptor(adopting: number)
    }

    /// Bytes that the process has in memory and shares with no file: about what it costs. Nil where it has ended.
    var anonymousMemory: Int? { value(of: "RssAnon:").map { $0 << 10 } }

    /// How many threads it has. Nil where it has ended.
    var threads: Int? { value(of: "Threads:") }

    private func value(of name: String) -> Int? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = pread(file.rawValue, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        let line = bytes[..<count].split(separator: UInt8(ascii: "\n")).first { $0.starts(with: name.utf8) }
        let digits = line?.dropFirst(name.utf8.count).filter { (0x30...0x39).contains($0) }
        return digits.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
    }
}
