/// How much memory a process holds, as `/proc` tells (`proc(5)`).
public struct MemoryProbe: Sendable {
    /// Resident, shared pages included (VmRSS), in bytes.
    public let resident: Int
    /// Pages that only this process has (Private_Clean + Private_Dirty of smaps_rollup), in bytes.
    public let privatePages: Int
    /// Those of them that it has written (Private_Dirty of smaps_rollup), and what was swapped out, in bytes.
    ///
    /// This is what a process's own growth is measured by: the clean ones are its programs' and libraries' pages, which
    /// are private while no other process has them, and so come and go by megabytes with other processes.
    public let privateDirty: Int

    /// Looks now.
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

/// The descriptors of a process, as `/proc/PID/fd` names them; for "nothing leaked" checks.
///
/// - Throws: what `readlink(2)` says for a process that has ended or is another user's.
public func openDescriptorCount(processID: Int32) throws -> Int {
    let names = try Program.run("/bin/ls", ["/proc/\(processID)/fd"]).successful().output
    return names.split(separator: "\n").count
}
