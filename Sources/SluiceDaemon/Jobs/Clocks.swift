internal import Glibc

/// The time of day, for people, in µs since 1970. It may jump: nothing may be measured with it.
enum Realtime {
    static func microseconds() -> Int { microsecondsOf(CLOCK_REALTIME) }
}

/// The clock that goes on through everything but a restart of the machine, also for the next process of the service
/// (`clock_gettime(2)`, CLOCK_BOOTTIME). Timers use the same one.
enum Uptime {
    /// Microseconds since the machine's start.
    static func microseconds() -> Int { microsecondsOf(CLOCK_BOOTTIME) }
}

private func microsecondsOf(_ clock: clockid_t) -> Int {
    var now = timespec()
    clock_gettime(clock, &now)
    return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}
