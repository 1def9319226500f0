internal import Glibc

/// The clock that several processes agree on and nobody sets (`clock_gettime(2)`, CLOCK_MONOTONIC).
public enum Monotonic {
    /// Nanoseconds since some moment before the machine's start.
    public static func nanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
