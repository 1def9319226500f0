internal import Glibc
internal import Unix

/// A moment after which a wait has failed.
///
/// A deadline costs nothing where the event comes, and must not depend on how busy the machine is. The requested time
/// is therefore the time on a calm machine. It is multiplied by the factor of `Busyness`, measured at the start of
/// the run and again when the deadline would be missed: where the machine has become busier, the deadline moves.
/// Tests name no seconds: `usual` is for an event, `long` for an event that takes work, `ofCall` for calls that take
/// milliseconds.
///
/// A statement about a period ("nothing comes for 300 ms") is not a wait for an event. It needs `init(exactly:)` or
/// `letPass`.
public struct Deadline: Sendable {
    /// The time for every wait of a test, unless the test sets another one.
    public static let usual = Duration.seconds(30)
    /// The time for work that takes seconds on a calm machine.
    public static let long = Duration.seconds(90)

    /// Milliseconds for calls that have a deadline of their own, such as those of `VarlinkClient`. This deadline
    /// cannot be moved once it is given, so it is four times the usual one.
    public static var ofCall: Int { ofCall(usual) }

    /// Milliseconds for a call that takes at most `duration` on a calm machine.
    public static func ofCall(_ duration: Duration) -> Int {
        Int((duration * 4 * Busyness.now(age: .seconds(10))).wholeMilliseconds)
    }

    private let start = ContinuousClock.now
    private let duration: Duration
    private let isExact: Bool

    /// A deadline `duration` from now on a calm machine, later on a busy one.
    public init(_ duration: Duration = Deadline.usual) {
        self.duration = duration
        isExact = duration <= .zero
    }

    /// A deadline `duration` from now, however busy the machine is.
    public init(exactly duration: Duration) {
        self.duration = duration
        isExact = true
    }

    private var end: ContinuousClock.Instant {
        isExact ? start + duration : start + duration * Busyness.highest(since: start)
    }

    /// Whether the moment has passed. Where it would have, this checks whether the machine has become busier, which
    /// moves the deadline. The check takes about 20 ms.
    public var hasPassed: Bool {
        guard ContinuousClock.now >= end else { return false }
        if isExact { return true }
        _ = Busyness.now()
        return ContinuousClock.now >= end
    }

    /// The time left, never negative.
    public var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: end)) }

    /// The time waited so far, in words, and how busy the machine was.
    public var waited: String {
        let factor = (Busyness.highest(since: start) * 10).rounded() / 10
        let seconds = (start.duration(to: .now).asSeconds * 100).rounded() / 100
        return "\(seconds) s"
            + (isExact || factor <= 1 ? "" : " (on a machine \(factor) times as slow as a calm one)")
    }

    /// The time left, for `poll(2)`: whole milliseconds, rounded up.
    public var milliseconds: Int32 { remaining.wholeMilliseconds }

    /// The same moment for `pthread_cond_clockwait` and similar functions, on CLOCK_MONOTONIC.
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

/// Polls a condition until it holds. Only for states without an event to wait for: `/proc`, the state of another
/// process.
///
/// - Parameters:
///   - what: completes the sentence "did not happen in time: …".
///   - interval: the time between two checks.
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

/// The same without blocking a thread of the cooperative pool between two checks.
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

/// Lets a period of time pass, for tests about the time itself, such as a period in which nothing may happen. Never
/// use it to wait for something.
public func letPass(_ duration: Duration) {
    _ = waitFor(0, on: -1, until: Deadline(exactly: duration))
}

/// Runs a synchronous, blocking closure on a thread of its own, so that an async test does not block a thread of the
/// cooperative pool meanwhile.
public func offPool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        TestThread.detached { continuation.resume(with: Result { try body() }) }
    }
}
