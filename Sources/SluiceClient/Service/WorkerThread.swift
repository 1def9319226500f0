internal import Glibc
internal import SystemPackage

/// A thread for a call that waits; FoundationEssentials has none.
package enum WorkerThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread that nobody joins.
    ///
    /// - Throws: `.local` where the system has none left.
    package static func start(_ body: @escaping @Sendable () -> Void) throws(SluiceError) {
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
            throw SluiceError(.local, "no thread can be started: \(Errno(rawValue: result))")
        }
        pthread_detach(thread)
    }
}

/// Sleeps for a duration, signals or not.
public func sleepWhole(_ duration: Duration) {
    let (seconds, attoseconds) = duration.components
    var request = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
    var rest = timespec()
    while nanosleep(&request, &rest) < 0, errno == EINTR { request = rest }
}
