internal import Glibc

/// The clock that all processes share and that changes of the wall clock do not affect (`clock_gettime(2)`,
/// CLOCK_MONOTONIC).
public enum Monotonic {
    /// Nanoseconds since a fixed moment, which is the same for all processes until the machine restarts.
    public static func nanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    /// The time between two moments, in seconds; 0 if the second is not after the first.
    public static func seconds(from start: UInt64, to end: UInt64) -> Double {
        end > start ? Double(end - start) / 1e9 : 0
    }
}
