internal import Glibc
public import SystemPackage

/// A thread for a call that waits, which no other thread joins (`pthread_create(3)`).
///
/// For what Swift's own threads must not do: they are few, and one that waits is missing to all tasks.
public enum DetachedThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread.
    ///
    /// - Parameter blockingSignals: no signal of the process is handled there. Otherwise it has the mask of the calling thread.
    /// - Throws: `Errno.resourceTemporarilyUnavailable` where the system has none left.
    public static func start(
        blockingSignals: Bool = false, _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // A new thread has the mask of the one that makes it.
        if blockingSignals { pthread_sigmask(SIG_SETMASK, &all, &before) }
        defer { if blockingSignals { pthread_sigmask(SIG_SETMASK, &before, nil) } }
        let box = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                // Never nil: it is what is passed below.
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw Errno(rawValue: result)
        }
        pthread_detach(thread)
    }
}
