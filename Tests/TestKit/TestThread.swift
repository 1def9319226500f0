internal import Glibc
internal import Synchronization

/// A thread that can be joined. Blocking calls must run on it and not on the cooperative pool.
public final class TestThread: Sendable {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private let handle: Mutex<pthread_t?>

    /// Starts at once.
    public init(_ body: @escaping @Sendable () -> Void) {
        handle = Mutex(Self.start(body))
    }

    /// Starts a thread that no other thread joins.
    public static func detached(_ body: @escaping @Sendable () -> Void) {
        pthread_detach(start(body))
    }

    /// Waits for the end of the body. May be called twice, but not by two threads at once.
    public func join() {
        let taken = handle.withLock { handle in
            defer { handle = nil }
            return handle
        }
        if let taken { pthread_join(taken, nil) }
    }

    private static func start(_ body: @escaping @Sendable () -> Void) -> pthread_t {
        var thread = pthread_t()
        let retained = Unmanaged.passRetained(Body(body)).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { argument in
                // Never nil: it is the argument that is passed below.
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, retained)
        precondition(result == 0, "no thread: \(result)")
        return thread
    }
}
