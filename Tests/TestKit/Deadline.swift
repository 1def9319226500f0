internal import Glibc

/// A moment after which waiting is failure.
public struct Deadline: Sendable {
    /// For all that a test waits for, unless it says otherwise: what it takes on the busiest of machines. It costs nothing
    /// where the event comes.
    public static let usual = Duration.seconds(30)

    private let end: ContinuousClock.Instant

    /// `duration` from now.
    public init(_ duration: Duration = Deadline.usual) {
        end = .now + duration
    }

    /// Whether the moment is over.
    public var hasPassed: Bool { ContinuousClock.now >= end }

    /// What is left, never negative.
    public var remaining: Duration { max(.zero, ContinuousClock.now.duration(to: end)) }

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
        guard !deadline.hasPassed else { throw TestFailure("did not happen within \(duration): \(what())") }
        _ = poll(nil, 0, min(interval, deadline.remaining).wholeMilliseconds)
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
        guard !deadline.hasPassed else { throw TestFailure("did not happen within \(duration): \(what())") }
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

/// Runs a synchronous, waiting closure on a thread of its own, so that an async test does not hold a thread
/// of the cooperative pool meanwhile.
public func offPool<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        TestThread.detached { continuation.resume(with: Result { try body() }) }
    }
}
