internal import CUnix
internal import Glibc

/// The machine's processors.
public enum Processors {
    /// Number of processors that this process can keep busy: those of its affinity mask, but no more than the quotas of its
    /// control group allow, rounded up. At least 1.
    public static var available: Int { min(allowed, quota() ?? .max) }

    /// Number of processors of this process's affinity mask (sched_getaffinity(2)), which `AllowedCPUs=` and
    /// `CPUAffinity=` of systemd set. At least 1.
    public static var allowed: Int {
        let count = Int(cunix_processors())
        // It fails with more than 1,024 processors.
        return max(1, count > 0 ? count : sysconf(CInt(_SC_NPROCESSORS_ONLN)))
    }

    /// The least of the quotas (`CPUQuota=`, systemd.resource-control(5)) of this process's control group and of those that
    /// contain it, in processors, rounded up. Nil if there is none, or none can be read: with control groups of version 1,
    /// or if /sys is not visible.
    ///
    /// - Parameters:
    ///   - membership: a file as /proc/self/cgroup.
    ///   - root: where the control groups of version 2 are mounted.
    static func quota(membership: String = "/proc/self/cgroup", root: String = "/sys/fs/cgroup") -> Int? {
        let lines = SmallFile.text(of: membership)?.split(separator: "\n") ?? []
        guard var group = lines.first(where: { $0.hasPrefix("0::/") })?.dropFirst("0::".count) else {
            return nil
        }
        var least: Int?
        while true {
            if let quota = SmallFile.text(of: "\(root)\(group)/cpu.max").flatMap(processors) {
                least = min(quota, least ?? .max)
            }
            guard let slash = group.lastIndex(of: "/"), group != "/" else { return least }
            group = slash == group.startIndex ? "/" : group[..<slash]
        }
    }

    /// Reads cpu.max: the time that the group may use in each period, or "max", and the period, both in microseconds.
    private static func processors(_ text: String) -> Int? {
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard numbers.count == 2, numbers[0] > 0, numbers[1] > 0 else { return nil }
        return (numbers[0] - 1) / numbers[1] + 1
    }
}
