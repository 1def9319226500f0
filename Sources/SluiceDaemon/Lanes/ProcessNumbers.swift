internal import Glibc
internal import Unix

/// What the kernel reports about a child process of the daemon (`proc_pid_status(5)`). It can be read repeatedly.
///
/// The file is opened once, as soon as the process exists. Before a lane reads anything from an origin, it hides itself
/// from all processes of its user. If the unit has `ProtectProc=invisible` (systemd.exec(5)), the lane's directory in
/// `/proc` cannot be opened any more after that. A file that was opened before stays readable.
final class ProcessNumbers {
    private let file: OwnedDescriptor

    /// The file, opened by another process.
    init(adopting file: consuming OwnedDescriptor) {
        self.file = file
    }

    /// - Returns: nil if the process's file in /proc cannot be opened.
    init?(_ processID: Int32) {
        let number = open("/proc/\(processID)/status", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        file = OwnedDescriptor(adopting: number)
    }

    /// The process's resident anonymous memory, in bytes: approximately what the process costs. Nil if it has ended.
    var anonymousMemory: Int? { value(of: "RssAnon:").map { $0 << 10 } }

    /// The number of the process's threads. Nil if it has ended.
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
