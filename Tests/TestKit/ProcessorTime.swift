internal import Glibc

/// What something has cost: unlike the time that passes it does not depend on what else the machine does.
public enum ProcessorTime {
    /// Of all threads of a process so far (`clock_getcpuclockid(3)`).
    ///
    /// - Throws: `TestFailure` where there is no such process.
    public static func of(processID: Int32) throws -> Duration {
        var clock = clockid_t()
        guard clock_getcpuclockid(processID, &clock) == 0 else {
            throw TestFailure("there is no process \(processID)")
        }
        return read(clock)
    }

    /// Of `body`, on the calling thread.
    public static func of(_ body: () throws -> Void) rethrows -> Duration {
        let before = read(CLOCK_THREAD_CPUTIME_ID)
        try body()
        return read(CLOCK_THREAD_CPUTIME_ID) - before
    }

    private static func read(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
