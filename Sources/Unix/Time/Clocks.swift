internal import Glibc

/// The clock that all processes share and that changes of the wall clock do not affect (`clock_gettime(2)`,
/// CLOCK_MONOTONIC). It stops while the machine sleeps.
public enum Monotonic {
    /// Nanoseconds since a fixed moment, which is the same for all processes until the machine restarts.
    public static func nanoseconds() -> UInt64 {
        let now = time(of: CLOCK_MONOTONIC)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}

/// The time of day, for people to read (CLOCK_REALTIME). It may jump, so it must not be used to measure time.
public enum Realtime {
    /// Microseconds since 1970.
    public static func microseconds() -> Int { Unix.microseconds(of: CLOCK_REALTIME) }
}

/// The clock that counts from the machine's start, suspended time included (CLOCK_BOOTTIME). All processes share it.
/// Timers of `EventLoop` use the same clock.
public enum Uptime {
    /// Microseconds since the machine's start.
    public static func microseconds() -> Int { Unix.microseconds(of: CLOCK_BOOTTIME) }
}

private func microseconds(of clock: clockid_t) -> Int {
    let now = time(of: clock)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

private func time(of clock: clockid_t) -> timespec {
    var now = timespec()
    // Cannot fail: these clocks exist on every Linux.
    clock_gettime(clock, &now)
    return now
}
