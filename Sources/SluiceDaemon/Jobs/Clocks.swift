internal import Glibc

/// The time of day, for people to read. It may jump, so it must not be used to measure time.
enum Realtime {
    /// Microseconds since 1970.
    static func microseconds() -> Int { microsecondsOf(CLOCK_REALTIME) }
}

/// The clock that counts from the machine's start, suspended time included, and that the next process of the service
/// shares (`clock_gettime(2)`, CLOCK_BOOTTIME). Timers use the same clock.
enum Uptime {
    /// Microseconds since the machine's start.
    static func microseconds() -> Int { microsecondsOf(CLOCK_BOOTTIME) }
}

private func microsecondsOf(_ clock: clockid_t) -> Int {
    var now = timespec()
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
