internal import Glibc

/// A moment after which waiting is failure.
///
/// It costs nothing where the event comes, and must not depend on how busy the machine is. So the time that is asked for
/// is one on a calm machine: it is multiplied by what a known piece of work takes now (`Busyness`), as measured at the
/// start of the run and once more when the deadline would be missed: a machine that has become busier moves it. Tests
/// name no seconds: `usual` is for an event, `long` for one that takes work, `ofCall` for calls that take milliseconds.
///
/// A statement about a stretch of time ("nothing comes for 300 ms") is no wait for an event: `init(exactly:)`, `letPass`.
public struct Deadline: Sendable {
    /// For all that a test waits for, unless it says otherwise.
    public static let usual = Duration.seconds(30)
    /// For what takes seconds on a calm machine.
    public static let long = Duration.seconds(90)

    /// Milliseconds, for calls that have a deadline of their own, such as `VarlinkClient`'s. It cannot be moved once it is
    /// given, and so is four times the usual one.
    public static var ofCall: Int { ofCall(usual) }

    /// Milliseconds for a call that takes `duration` at most on a calm machine.
    public static func ofCall(_ duration: Duration) -> Int {
        Int((duration * 4 * Busyness.now(age: .seconds(10))).wholeMilliseconds)
    }

    private let start = ContinuousClock.now
    private let duration: Duration
    private let isExact: Bool

    /// `duration` from now on a calm machine, later on a busy one.
    public init(_ duration: Duration = Deadline.usual) {
        self.duration = duration
        isExact = duration <= .zero
    }

    /// `duration` from now, however busy the machine is.
    public init(exactly duration: Duration) {
        self.duration = duration
        isExact = true
    }

    private var end: ContinuousClock.Instant {
        isExact ? start + duration : start + duration * Busyness.highest(since: start)
    }

    /// Whether the moment is over. Where it would be, looks whether the machine is busier than before, which moves it:
    /// takes some 20 ms then.
    public var hasPassed: Bool {
        guard ContinuousClock.now >= end else { return false }
        if isExact { return true }
        _ = Busyness.now()
        return ContinuousClock.now >= end
    }

    /// What is left, never negative.
    public var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: end)) }

    /// How long it has been waited for, in words, and how busy the machine was.
    public var waited: String {
        let factor = (Busyness.highest(since: start) * 10).rounded() / 10
        let seconds = (start.duration(to: .now).asSeconds * 100).rounded() / 100
        return "\(seconds) s"
            + (isExact || factor <= 1 ? "" : " (on a machine \(factor) times as slow as a calm one)")
    }

    /// What is left, for `poll(2)`: whole milliseconds, rounded up.
    public var milliseconds: Int32 { remaining.wholeMilliseconds }

    /// The same moment for `pthread_cond_clockwait` and its like, on CLOCK_MONOTONIC.
    var monotonic: timespec {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let (seconds, attoseconds) = remaining.components
        let nanoseconds = now.tv_nsec + Int(attoseconds / 1_000_000_000)
        return timespec(
            tv_sec: now.tv_sec + Int(seconds) + nanoseconds / 1_000_000_000,
            tv_nsec: nanoseconds % 1_000_000_000)
    }
}

extension Duration {
    /// Rounded up, capped at what `poll(2)` takes.
    public var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        if seconds < 0 || attoseconds < 0 { return 0 }
        return Int32(
            clamping: seconds.multipliedReportingOverflow(by: 1000).partialValue
                + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }

    /// For arithmetic in a test.
    public var asSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}

/// Polls a condition until it holds. Only for what has no event to wait for: `/proc`, another process's
/// state.
///
/// - Parameters:
///   - what: completes the sentence "did not happen in time: …".
///   - interval: between two looks.
/// - Throws: `TestFailure` past the deadline, and what the condition throws.
public func eventually(
    _ what: @autoclosure () -> String, within duration: Duration = Deadline.usual,
    every interval: Duration = .milliseconds(5), _ condition: () throws -> Bool
) throws {
    let deadline = Deadline(duration)
    while try !condition() {
        guard !deadline.hasPassed else {
            throw TestFailure("did not happen within \(deadline.waited): \(what())")
        }
        _ = poll(nil, 0, interval.wholeMilliseconds)
    }
}

/// The same without holding a thread of the cooperative pool between two looks.
public func eventually(
    _ what: @autoclosure () -> String, within duration: Duration = Deadline.usual,
    every interval: Duration = .milliseconds(5), isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = Deadline(duration)
    while try await !condition() {
        guard !deadline.hasPassed else {
            throw TestFailure("did not happen within \(deadline.waited): \(what())")
        }
        try await Task.sleep(for: interval)
    }
}

/// Waits until a descriptor has one of the `poll(2)` events, or an error, or a hang-up.
///
/// - Returns: false past the deadline.
public func waitFor(_ events: CInt, on descriptor: CInt, until deadline: Deadline) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    while true {
        let ready = poll(&entry, 1, deadline.milliseconds)
        if ready > 0 { return true }
        if ready == 0, deadline.hasPassed { return false }
        if ready < 0, errno != EINTR { return false }
    }
}

/// Lets a stretch of time pass: where the time itself is what a test is about, such as one in which nothing may happen.
/// Never to wait for something.
public func letPass(_ duration: Duration) {
    _ = waitFor(0, on: -1, until: Deadline(exactly: duration))
}

/// Runs a synchronous, waiting closure on a thread of its own, so that an async test does not hold a thread
/// of the cooperative pool meanwhile.
public func offPool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        TestThread.detached { continuation.resume(with: Result { try body() }) }
    }
}
