/// The memory of a process, as `/proc` reports it (`proc(5)`).
public struct MemoryProbe: Sendable {
    /// Resident memory with shared pages (VmRSS), in bytes.
    public let resident: Int
    /// Pages that only this process has (Private_Clean + Private_Dirty of smaps_rollup), in bytes.
    public let privatePages: Int
    /// Private pages that the process has written (Private_Dirty of smaps_rollup) and what was swapped out, in bytes.
    ///
    /// Use this number to measure a process's own growth. The clean pages are those of its programs and libraries.
    /// They are private while no other process has them, so their number changes by megabytes with other processes.
    public let privateDirty: Int

    /// Reads the present numbers.
    ///
    /// - Throws: `Errno.noSuchFileOrDirectory` where the process has ended.
    public init(processID: Int32) throws {
        let status = try readText("/proc/\(processID)/status")
        let rollup = try readText("/proc/\(processID)/smaps_rollup")
        resident = Self.kibibytes("VmRSS", in: status) * 1024
        let dirty = Self.kibibytes("Private_Dirty", in: rollup) * 1024
        privatePages = Self.kibibytes("Private_Clean", in: rollup) * 1024 + dirty
        privateDirty = dirty + Self.kibibytes("Swap", in: rollup) * 1024
    }

    private static func kibibytes(_ field: String, in text: String) -> Int {
        for line in text.split(separator: "\n") where line.hasPrefix("\(field):") {
            return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap {
                Int($0)
            } ?? 0
        }
        return 0
    }
}

/// The number of descriptors of a process in `/proc/PID/fd`, to check that nothing leaked.
///
/// - Throws: the error of `readlink(2)` for a process that has ended or belongs to another user.
public func openDescriptorCount(processID: Int32) throws -> Int {
    let names = try Program.run("/bin/ls", ["/proc/\(processID)/fd"]).successful().output
    return names.split(separator: "\n").count
}
