import Glibc
import SluiceClient
import Synchronization

/// What SIGINT, SIGTERM and SIGHUP do to a fetch: the first cancels the job and cleans up, the second ends at once.
///
/// ## Concurrency model
/// The signals are blocked in every thread and taken by one with `sigwaitinfo(2)`; so no code runs in a signal handler.
/// The lock guards who brings the program to its end: the main thread claims it before it does what cannot be undone
/// (a rename, an exit), and waits for ever where the signal was first. Only where a command runs does the main thread
/// end the program after a signal too, since the command ends first.
final class Interruption: Sendable {
    /// How long to wait for the service to confirm the cancellation, in milliseconds.
    static let cancelLimit = 1000
    /// The same signal within so long is the same wish.
    private static let echoTime = Duration.milliseconds(100)

    private struct State {
        var signal: Int32?
        var isClaimed = false
        var job: (id: String, path: String)?
        var command = Command.none
        /// A signal that a command which was just starting has still to get.
        var undelivered: Int32?
        var actions: [@Sendable (Haste) -> Void] = []
    }

    private enum Command {
        case none
        case starting
        case running(RunningCommand)

        var isThere: Bool {
            switch self {
            case .none: false
            case .starting, .running: true
            }
        }
    }

    /// How a clean-up action is to be done.
    enum Haste {
        /// It may wait a little.
        case orderly
        /// It must not wait.
        case atOnce
    }

    private let state = Mutex(State())

    /// Blocks the signals and starts the thread; to be made before any other thread.
    ///
    /// A signal that the caller of this program has chosen to ignore (nohup) stays ignored.
    init() throws(SluiceError) {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            var action = sigaction()
            sigaction(number, nil, &action)
            // SIG_IGN is the address 1, which Swift does not let us compare with.
            let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            if handler != 1 { sigaddset(&signals, number) }
        }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let waited = signals
        try WorkerThread.start { [self] in take(waited) }
    }

    // MARK: From the main thread

    /// Adds what has to be done before the program ends, however it does; the last is done first.
    func onExit(_ action: @escaping @Sendable (Haste) -> Void) {
        state.withLock { $0.actions.append(action) }
    }

    /// From now on a signal cancels this job.
    func cover(job id: String, serviceAt path: String) {
        state.withLock { $0.job = (id, path) }
    }

    /// From now on there is a command, or there will be in a moment.
    func expectCommand() {
        state.withLock { $0.command = .starting }
    }

    /// From now on a signal is the command's, too, and one that came while it was starting.
    func cover(_ command: RunningCommand) {
        let signal = state.withLock { state in
            state.command = .running(command)
            return state.undelivered
        }
        if let signal { command.process.signal(signal) }
    }

    /// Claims the end of the program.
    ///
    /// - Returns: nil, or the signal that came before, to be reported once the command has ended. Without a command it
    ///   does not return then: the signal's thread ends the program.
    func claim() -> Int32? {
        let (signal, hasCommand) = state.withLock { state in
            if state.signal == nil { state.isClaimed = true }
            return (state.signal, state.command.isThere)
        }
        guard let signal else { return nil }
        while !hasCommand { pause() }
        return signal
    }

    /// Does what has to be done before the end, once.
    func cleanUp(_ haste: Haste = .orderly) {
        let actions = state.withLock { state in
            defer { state.actions = [] }
            return state.actions
        }
        for action in actions.reversed() { action(haste) }
    }

    /// The line about a signal.
    static func note(_ signal: Int32, _ consequence: String) {
        let name = signal == SIGINT ? "interrupted" : signal == SIGTERM ? "terminated" : "hung up"
        Console.note("\(name); \(consequence)")
    }

    // MARK: On the signals' thread

    private func take(_ signals: sigset_t) {
        var signals = signals
        var count = 0
        var first: (signal: Int32, time: ContinuousClock.Instant)?
        while true {
            var info = siginfo_t()
            let signal = sigwaitinfo(&signals, &info)
            guard signal > 0 else { continue }
            let now = ContinuousClock.now
            // timeout(1) signals what it has started, and then the process group: that is one wish.
            if let first, first.signal == signal, now - first.time < Self.echoTime { continue }
            first = first ?? (signal, now)
            count += 1
            guard count == 1 else {
                cleanUp(.atOnce)
                _exit(ExitStatus(signal: signal)?.rawValue ?? 1)
            }
            // What a terminal sends, the kernel sends, and to the command as well.
            let isFromTerminal = info.si_code > 0
            let isOurs = state.withLock { state in
                if !state.isClaimed { state.signal = signal }
                return !state.isClaimed
            }
            guard isOurs else { continue }
            do {
                try WorkerThread.start { [self] in end(signal, isFromTerminal) }
            } catch {
                end(signal, isFromTerminal)
            }
        }
    }

    private func end(_ signal: Int32, _ isFromTerminal: Bool) {
        let job = state.withLock { $0.job }
        var consequence = "no job was made"
        if let job {
            let ended = try? SluiceConnection(connectedTo: job.path)
                .cancel(job.id, deadline: Self.cancelLimit)
            // Our end of the pipe closes with us, and the job ends by that at the latest.
            consequence = ended == nil ? "the job ends with this program" : "the job is cancelled"
        }
        let command = state.withLock { state in
            if case .starting = state.command, !isFromTerminal { state.undelivered = signal }
            return state.command
        }
        // The command's input has ended now; the main thread waits for it and goes on from there.
        switch command {
        case .none: break
        case .starting: return
        case .running(let command):
            if !isFromTerminal { command.process.signal(signal) }
            return
        }
        cleanUp()
        Self.note(signal, consequence)
        _exit(ExitStatus(signal: signal)?.rawValue ?? 1)
    }
}

/// A command, to be shared between the main thread, which waits for it, and the signals' thread.
final class RunningCommand: Sendable {
    let process: CommandProcess

    init(_ process: consuming CommandProcess) {
        self.process = process
    }
}
