internal import Glibc

/// A value that threads change and wait for: a lock and a condition variable in one.
///
/// ## Concurrency model
/// `value` is only used between lock and unlock. After each change all waiting threads wake up, check their
/// conditions, and wait again.
public final class Monitor<Value>: @unchecked Sendable {
    // @unchecked: `mutex` guards `value`; the two pthread objects may be shared and never move.
    private var value: Value
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Creates a monitor with its first value.
    public init(_ value: sending Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Reads or changes the value, and wakes the waiting threads.
    public func update<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&value)
    }

    /// Reads the value.
    public func read<Result>(_ body: (Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(value)
    }

    /// Waits for a change that makes the condition true.
    ///
    /// - Returns: false past the deadline.
    public func wait(until deadline: Deadline, _ condition: (Value) throws -> Bool) rethrows -> Bool {
        var end = deadline.monotonic
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            while try !condition(value) {
                if pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT { break }
            }
            if try condition(value) { return true }
            // This may take a moment, and may move the deadline.
            pthread_mutex_unlock(mutex)
            let isOver = deadline.hasPassed
            end = deadline.monotonic
            pthread_mutex_lock(mutex)
            if isOver { return try condition(value) }
        }
    }
}
