import Glibc
import SluiceClient
import Synchronization
import UnixSockets

/// Signals as events, to be waited for beside other descriptors: no code runs in a signal handler.
///
/// ## Concurrency model
/// The signals are blocked in every thread and taken by one of its own with `sigwaitinfo(2)`, which puts them behind the
/// lock.
final class SignalMailbox: Sendable {
    private let waiting = Mutex<[Int32]>([])
    private let signal: EventSignal

    /// Blocks the signals and starts the thread; to be made before any other thread.
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

    /// Those that have come since the last look, in their order.
    func take() -> [Int32] {
        signal.lower()
        return waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }

    /// Does with a signal what would have been done without us, in this thread.
    static func passOn(_ number: Int32) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_kill(pthread_self(), number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        // Where it stops the process, this is where it goes on.
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
