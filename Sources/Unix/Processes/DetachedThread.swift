internal import Glibc
public import SystemPackage

/// A thread for a call that blocks. No other thread joins it (`pthread_create(3)`).
///
/// Swift's own threads must not make such calls: there are few of them, and one that blocks is missing to all tasks.
public enum DetachedThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread.
    ///
    /// - Parameters:
    ///   - blockingSignals: whether the thread handles no signal of the process. Otherwise it has the mask of the
    ///     calling thread.
    ///   - body: what the thread runs. The thread ends with it.
    /// - Throws: `Errno.resourceTemporarilyUnavailable` where the system has no threads left.
    public static func start(
        blockingSignals: Bool = false, _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        // A new thread inherits the mask of the thread that makes it.
        if blockingSignals { pthread_sigmask(SIG_SETMASK, &all, &before) }
        defer { if blockingSignals { pthread_sigmask(SIG_SETMASK, &before, nil) } }
        let box = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                // Never nil: it is the argument that is passed below.
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
