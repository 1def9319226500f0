internal import Glibc
internal import SystemPackage
internal import Unix

/// A thread for a call that blocks; FoundationEssentials has none.
package enum WorkerThread {
    /// Starts a thread that no other thread joins.
    ///
    /// - Throws: `.local` where the system has no threads left.
    package static func start(_ body: @escaping @Sendable () -> Void) throws(SluiceError) {
        do throws(Errno) {
            try DetachedThread.start(body)
        } catch {
            throw SluiceError(.local, "no thread can be started: \(error)")
        }
    }
}

/// Sleeps for the whole duration, even if signals interrupt the sleep.
public func sleepWhole(_ duration: Duration) {
    var request = duration.timeSpecification
    var rest = timespec()
    while nanosleep(&request, &rest) < 0, errno == EINTR { request = rest }
}
