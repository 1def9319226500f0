internal import CUnix
internal import Glibc

/// The machine's processors.
public enum Processors {
    /// Number of processors that this process may use: those of its affinity mask (sched_getaffinity(2)), which
    /// `AllowedCPUs=` and `CPUAffinity=` of systemd set. At least 1.
    public static var available: Int {
        let count = Int(cunix_processors())
        // It fails with more than 1,024 processors.
        return max(1, count > 0 ? count : sysconf(CInt(_SC_NPROCESSORS_ONLN)))
    }
}
