internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SystemPackage
internal import Unix

/// Has lanes forked by a nursery. Belongs to the loop's thread.
///
/// The nursery only saves time: where none is ready, and where it dies or does not answer, lanes are started as
/// programs, and another nursery is started after a pause.
///
/// All lanes of a nursery have the same memory layout, which an origin could find out from one lane's crash for the next
/// one (Bittau et al., "Hacking Blind", 2014). So a nursery one of whose lanes has crashed is replaced.
final class Nursery {
    /// How long an answer may take: a fork takes a millisecond or two, on a busy machine more.
    private static let answerTime = Duration.seconds(2)
    /// How long it may take to load and to warm.
    private static let startTime = Duration.seconds(30)
    /// How long its end may take when the service ends.
    private static let endTime = Duration.seconds(1)
    /// The pause before the next nursery is started. Doubled each time, up to `longestPause`, until one has answered.
    private static let firstPause = Duration.milliseconds(100)
    private static let longestPause = Duration.seconds(60)
    /// How long a lane that nobody knows has to end by itself.
    private static let strangersTime = Duration.seconds(1)

    /// What became of a request.
    enum Answer: ~Copyable {
        case started(SpawnedProcess, ProcessNumbers?)
        /// The nursery could make no process, has ended, or does not answer.
        case none
    }

    private final class Request {
        let answer: (consuming Answer) -> Void

        init(_ answer: @escaping (consuming Answer) -> Void) { self.answer = answer }
    }

    private enum Stage {
        case none
        /// It is loading and warming.
        case starting(NurseryProcess)
        case ready(NurseryProcess)
    }

    private let loop: EventLoop
    private let log: any LaneLog
    private let executable: String
    private let environment: [String]
    private var stage = Stage.none
    /// Nurseries that were asked to end, or killed. They are kept until they are reaped.
    private var ending: [NurseryProcess] = []
    private var strangers: [Stranger] = []
    /// The requests that are not answered.
    private var requests = FIFO<Request>()
    private var answerTimer: Timer?
    private var pause: Timer?
    private var failuresInARow = 0
    private var isClosed = false
    private var completion: (() -> Void)?

    init(executable: String, environment: [String], loop: EventLoop, log: any LaneLog) {
        self.executable = executable
        self.environment = environment
        self.loop = loop
        self.log = log
    }

    /// Starts a nursery, unless there is one.
    func start() {
        guard !isClosed, case .none = stage, pause == nil else { return }
        do throws(Errno) {
            let process = try NurseryProcess(
                executable: executable, environment: environment, loop: loop, log: log,
                onReply: { [weak self] in self?.heard($0, $1, &$2) },
                onExit: { [weak self] in self?.ended($0, $1) })
            stage = .starting(process)
            loop.after(Self.startTime) { [weak self, weak process] in
                guard let self, let process, case .starting(let current) = stage, current === process else {
                    return
                }
                letGo { $0.kill() }
                failed("it was not ready after \(Self.startTime)")
            }
        } catch {
            failed("it cannot be started: \(error)")
        }
    }

    /// Ends the nursery. The lanes that it has forked go on.
    ///
    /// - Parameter completion: called when no nursery is left, so that nothing is left for the service manager to kill, but
    ///   after `endTime` in any case.
    func close(_ completion: @escaping () -> Void) {
        isClosed = true
        pause?.cancel()
        letGo { $0.hangUp() }
        guard !ending.isEmpty else { return completion() }
        self.completion = completion
        loop.after(Self.endTime) { [weak self] in self?.complete() }
    }

    private func complete() {
        completion?()
        completion = nil
    }

    /// Starts another nursery in place of this one: one of its lanes has crashed, or what it has loaded may be old.
    func replace() {
        if case .none = stage { return }
        letGo { $0.hangUp() }
        start()
    }

    /// Has a lane forked.
    ///
    /// - Parameters:
    ///   - control: becomes the lane's descriptor 3.
    ///   - answer: called once, on a later turn of the loop.
    /// - Returns: false if no nursery can be asked; `answer` is not called then.
    func fork(
        control: borrowing OwnedDescriptor, standardError: borrowing OwnedDescriptor,
        _ answer: @escaping (consuming Answer) -> Void
    ) -> Bool {
        guard case .ready(let process) = stage else { return false }
        do throws(Errno) {
            try process.ask([control.rawValue, standardError.rawValue])
        } catch {
            return false
        }
        requests.append(Request(answer))
        awaitAnswer()
        return true
    }

    private func awaitAnswer() {
        guard answerTimer == nil, requests.first != nil else { return }
        answerTimer = loop.after(Self.answerTime) { [weak self] in
            guard let self else { return }
            letGo { $0.kill() }
            failed("it did not answer within \(Self.answerTime)")
        }
    }

    /// The nursery is not asked any more. It is reaped when it has ended.
    private func letGo(_ end: (NurseryProcess) -> Void) {
        switch stage {
        case .none: return
        case .starting(let process), .ready(let process):
            ending.append(process)
            end(process)
        }
        stage = .none
        answerTimer?.cancel()
        answerTimer = nil
        guard requests.first != nil else { return }
        let left = requests
        requests = FIFO()
        for request in left { request.answer(.none) }
        // It may have forked for a request whose answer is not heard any more.
        lookForStrangersLater()
    }

    private func isCurrent(_ process: NurseryProcess) -> Bool {
        switch stage {
        case .none: false
        case .starting(let current), .ready(let current): current === process
        }
    }

    private func heard(
        _ process: NurseryProcess, _ reply: NurseryReply?, _ descriptors: inout ReceivedDescriptors
    ) {
        guard isCurrent(process) else { return }
        switch (reply, stage) {
        case (.ready?, .starting):
            stage = .ready(process)
        case (.failed(let error)?, .ready) where requests.first != nil:
            log.nurseryFailed("it cannot fork: \(Errno(rawValue: error))")
            answerFirst(.none)
            // A process may be there all the same, if the one between it and the nursery was killed.
            lookForStrangersLater()
        case (.started(let processID)?, .ready) where requests.first != nil:
            do throws(Errno) {
                let spawned = try SpawnedProcess(adopting: processID)
                failuresInARow = 0
                if let file = descriptors.take(0) {
                    answerFirst(.started(spawned, ProcessNumbers(adopting: file)))
                } else {
                    answerFirst(.started(spawned, nil))
                }
            } catch {
                answerFirst(.none)
            }
        default:
            letGo { $0.kill() }
            failed("its answer is none")
        }
    }

    private func answerFirst(_ answer: consuming Answer) {
        guard let request = requests.first else { return }
        requests.removeFirst()
        answerTimer?.cancel()
        answerTimer = nil
        awaitAnswer()
        request.answer(answer)
    }

    private func ended(_ process: NurseryProcess, _ exit: ProcessExit) {
        let wasCurrent = isCurrent(process)
        if wasCurrent { letGo { _ in } }
        ending.removeAll { $0 === process }
        if isClosed, ending.isEmpty { complete() }
        if wasCurrent, !isClosed { failed("it ended with \(exit)") }
    }

    private func failed(_ reason: String) {
        log.nurseryFailed(reason)
        failuresInARow += 1
        let wait = min(Self.longestPause, Self.firstPause * (1 << min(failuresInARow - 1, 10)))
        pause = loop.after(wait) { [weak self] in
            guard let self else { return }
            pause = nil
            start()
        }
    }

    // MARK: Lanes that nobody knows

    private func lookForStrangersLater() {
        loop.after(Self.strangersTime) { [weak self] in
            guard let self else { return }
            // A lane whose number is on its way is no stranger.
            if requests.first != nil { return lookForStrangersLater() }
            for processID in SpawnedProcess.strangers() {
                // It was never let go, and has ended; or it sees the end of its socket, and ends.
                guard let process = try? SpawnedProcess(adopting: processID) else { continue }
                if let stranger = Stranger(process, loop, { [weak self] in self?.forget($0) }) {
                    strangers.append(stranger)
                }
            }
        }
    }

    private func forget(_ stranger: Stranger) {
        strangers.removeAll { $0 === stranger }
    }

    /// A process of a nursery that has ended, which only has to be reaped.
    private final class Stranger {
        private let process: SpawnedProcess
        private var watch: Watch?

        init?(_ process: consuming SpawnedProcess, _ loop: EventLoop, _ onExit: @escaping (Stranger) -> Void)
        {
            self.process = process
            do throws(Errno) {
                watch = try loop.watch(self.process.pidfd, for: .readable) { [unowned self] _ in
                    do throws(Errno) {
                        guard try self.process.reap() != nil else { return }
                    } catch {
                        // It was reaped elsewhere.
                    }
                    watch?.cancel()
                    onExit(self)
                }
            } catch {
                return nil
            }
        }
    }
}
