internal import Glibc

/// The processor time of some work. Unlike elapsed time it does not depend on other work of the machine.
public enum ProcessorTime {
    /// The processor time of all threads of a process so far (`clock_getcpuclockid(3)`).
    ///
    /// - Throws: `TestFailure` where there is no such process.
    public static func of(processID: Int32) throws -> Duration {
        var clock = clockid_t()
        guard clock_getcpuclockid(processID, &clock) == 0 else {
            throw TestFailure("there is no process \(processID)")
        }
        return read(clock)
    }

    /// The processor time of `body`, on the calling thread.
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
