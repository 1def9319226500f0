internal import Glibc

/// A thread that runs one event loop until it is stopped.
///
/// Dispatch would lend a thread of its pool, and keep one short for ever; Foundation's threads would bring Foundation.
public final class LoopThread: Sendable {
    private let thread: UInt

    /// Starts a thread and runs the loop on it.
    public init(running loop: EventLoop) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(loop).toOpaque()
        let result = pthread_create(
            &thread, nil,
            { context in
                guard let context else { return nil }
                Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context)
        // EAGAIN, at the start of the process: there is no service without this thread.
        precondition(result == 0, "no thread can be started: error \(result)")
        self.thread = UInt(thread)
    }

    /// Waits for the end of the loop, which is for somebody else to bring about. Call it once, not on the thread itself.
    public func join() {
        pthread_join(pthread_t(thread), nil)
    }
}
