import Glibc
import SluiceClient
import Synchronization

/// What SIGINT, SIGTERM and SIGHUP do to a fetch: the first cancels the job and cleans up, the second ends at once.
///
/// ## Concurrency model
/// The signals are blocked in every thread, and one thread takes them with `sigwaitinfo(2)`, so no code runs in a
/// signal handler. The lock guards which thread ends the program. The main thread claims this before it does what
/// cannot be undone (a rename, an exit). Where a signal came before that, the main thread waits until the signals'
/// thread ends the program. Only where a command runs does the main thread end the program after a signal, too, since
/// the command ends first.
final class Interruption: Sendable {
    /// Maximum time to wait for the service to confirm the cancellation, in milliseconds.
    static let cancelLimit = 1000
    /// The same signal within this time counts as a repetition and is ignored.
    private static let echoTime = Duration.milliseconds(100)

    private struct State {
        var signal: Int32?
        var isClaimed = false
        var job: (id: String, path: String)?
        var command = Command.none
        /// A signal that must still be sent to a command that was just starting.
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

    /// How to run a clean-up action.
    enum Haste {
        /// It may wait a little.
        case orderly
        /// It must not wait.
        case atOnce
    }

    private let state = Mutex(State())

    /// Blocks the signals and starts the thread. Must be called before any other thread starts.
    ///
    /// A signal that the caller of this program has chosen to ignore (nohup) stays ignored.
    init() throws(SluiceError) {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] {
            var action = sigaction()
            sigaction(number, nil, &action)
            // SIG_IGN is the address 1. Swift cannot compare function pointers.
            let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            if handler != 1 { sigaddset(&signals, number) }
        }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let waited = signals
        try WorkerThread.start { [self] in take(waited) }
    }

    // MARK: From the main thread

    /// Adds an action that runs before the program ends, whatever ends it. The action added last runs first.
    func onExit(_ action: @escaping @Sendable (Haste) -> Void) {
        state.withLock { $0.actions.append(action) }
    }

    /// After this call a signal cancels this job.
    func cover(job id: String, serviceAt path: String) {
        state.withLock { $0.job = (id, path) }
    }

    /// Says that a command runs, or is about to be started.
    func expectCommand() {
        state.withLock { $0.command = .starting }
    }

    /// After this call a signal is sent to the command, too. A signal that came while the command was starting is
    /// sent now.
    func cover(_ command: RunningCommand) {
        let signal = state.withLock { state in
            state.command = .running(command)
            return state.undelivered
        }
        if let signal { command.process.signal(signal) }
    }

    /// Claims the end of the program.
    ///
    /// - Returns: nil, or the signal that came before; the caller must report it once the command has ended. Where a
    ///   signal came and there is no command, this does not return: the signals' thread ends the program.
    func claim() -> Int32? {
        let (signal, hasCommand) = state.withLock { state in
            if state.signal == nil { state.isClaimed = true }
            return (state.signal, state.command.isThere)
        }
        guard let signal else { return nil }
        while !hasCommand { pause() }
        return signal
    }

    /// Runs the clean-up actions, once.
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
            // timeout(1) signals the process that it has started, and then the process group. That counts as one
            // signal.
            if let first, first.signal == signal, now - first.time < Self.echoTime { continue }
            first = first ?? (signal, now)
            count += 1
            guard count == 1 else {
                cleanUp(.atOnce)
                _exit(ExitStatus(signal: signal)?.rawValue ?? 1)
            }
            // The kernel sends a terminal's signals, and sends them to the command as well.
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
            // This program's end of the pipe closes when the program ends. The job ends then at the latest.
            consequence = ended == nil ? "the job ends with this program" : "the job is cancelled"
        }
        let command = state.withLock { state in
            if case .starting = state.command, !isFromTerminal { state.undelivered = signal }
            return state.command
        }
        // The command's input has now ended. The main thread waits for the command and then ends the program.
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

/// A command shared between the main thread, which waits for it, and the signals' thread.
final class RunningCommand: Sendable {
    let process: CommandProcess

    init(_ process: consuming CommandProcess) {
        self.process = process
    }
}
