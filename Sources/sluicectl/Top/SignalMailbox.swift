import Glibc
import SluiceClient
import Synchronization
import Unix

/// Turns signals into events that a thread can wait for beside other descriptors. No code runs in a signal handler.
///
/// ## Concurrency model
/// The signals are blocked in every thread. A thread of the mailbox takes them with `sigwaitinfo(2)` and puts them
/// into a list that the lock guards.
final class SignalMailbox: Sendable {
    private let waiting = Mutex<[Int32]>([])
    private let signal: EventSignal

    /// Blocks the signals and starts the thread. Must be called before any other thread starts.
    ///
    /// - Throws: `.local`.
    init(_ signals: [Int32]) throws(SluiceError) {
        do {
            signal = try EventSignal()
        } catch {
            throw SluiceError(.local, "there are no descriptors left: \(error)")
        }
        var set = sigset_t()
        sigemptyset(&set)
        for number in signals { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let waited = set
        try WorkerThread.start { [self] in take(waited) }
    }

    /// Readable while there is a signal to take.
    var rawDescriptor: CInt { signal.descriptor.rawValue }

    /// The signals that have come since the last call, in order.
    func take() -> [Int32] {
        signal.lower()
        return waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }

    /// Performs a signal's default action, in this thread.
    static func passOn(_ number: Int32) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_kill(pthread_self(), number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        // Where the signal stops the process, execution continues here when the process is resumed.
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    private func take(_ signals: sigset_t) {
        var signals = signals
        while true {
            var info = siginfo_t()
            let number = sigwaitinfo(&signals, &info)
            guard number > 0 else { continue }
            waiting.withLock { $0.append(number) }
            signal.raise()
        }
    }
}
