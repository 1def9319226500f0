internal import EventLoop
internal import LaneProtocol
internal import SystemPackage
internal import Unix

/// The process behind a nursery and the way to it. `NurseryProcess` is the one that counts; tests have others.
///
/// Belongs to the loop's thread. Events come on a later turn than the call that made it.
protocol NurseryTransport: AnyObject {
    /// Gets each reply, in order, and the descriptors that came with it; nil for a packet that is no reply.
    var onReply: (NurseryReply?, inout ReceivedDescriptors) -> Void { get set }
    /// Called once, after the last reply.
    var onExit: (ProcessExit) -> Void { get set }

    /// Sends a request.
    ///
    /// - Throws: `Errno.wouldBlock` if the process is too far behind, `Errno.brokenPipe` if it has gone.
    func ask(_ ends: borrowing LaneEnds) throws(Errno)
    /// Takes the replies that have come.
    func look()
    /// Asks the process to end: the end of its socket is the sign.
    func hangUp()
    func kill()
}

/// Has lanes forked by a nursery. Belongs to the loop's thread.
///
/// The nursery only saves time: where it dies, does not answer, or forks lanes that do not start, lanes are started as
/// programs, and another nursery is started after a pause.
///
/// All lanes of a nursery have the same memory layout, which an origin could find out from one lane's crash for the next
/// one (Bittau et al., "Hacking Blind", 2014). So a nursery one of whose lanes has crashed is replaced.
final class Nursery {
    struct Times {
        /// How long an answer may take: a fork takes a millisecond or two, on a busy machine more.
        var answer = Duration.seconds(2)
        /// How long it may take to load and to warm.
        var start = Duration.seconds(30)
        /// How long its end may take.
        var end = Duration.seconds(1)
        /// The pause before the next nursery is started. Doubled each time, up to `longestPause`, until a lane was ready.
        var firstPause = Duration.milliseconds(100)
        var longestPause = Duration.seconds(60)
        /// The pause after a lane has crashed, so that crashes cost no more than a nursery a second.
        var pauseAfterCrash = Duration.seconds(1)
    }

    /// What became of a request.
    enum Answer: ~Copyable {
        /// - Parameter nursery: the number of the nursery that has forked it.
        case started(SpawnedProcess, ProcessNumbers?, nursery: Int)
        /// The nursery could make no process, has ended, or does not answer.
        case none
    }

    /// What became of a lane that a nursery has forked.
    enum Fate {
        case ready
        /// It ended before it was ready, for no reason that would pass.
        case failed
        /// It has crashed later.
        case crashed
    }

    private final class Request {
        let answer: (consuming Answer) -> Void
        private var ends: LaneEnds?

        init(_ ends: consuming LaneEnds, _ answer: @escaping (consuming Answer) -> Void) {
            self.ends = consume ends
            self.answer = answer
        }

        func send(to process: any NurseryTransport) throws(Errno) {
            guard let ends = ends.take() else { return }
            try process.ask(ends)
        }
    }

    private enum Stage {
        case none
        /// It is loading and warming. If it is late, lanes do not wait for it.
        case starting(any NurseryTransport, isLate: Bool)
        case ready(any NurseryTransport)

        var process: (any NurseryTransport)? {
            switch self {
            case .none: nil
            case .starting(let process, _), .ready(let process): process
            }
        }
    }

    private let loop: EventLoop
    private let log: any LaneLog
    private let times: Times
    private let image: () -> LaneImage
    private let makeProcess: () throws(Errno) -> any NurseryTransport
    private lazy var lostLanes = LostLanes(loop: loop) { [weak self] in self?.requests.first != nil }
    private var stage = Stage.none
    /// Nurseries that were asked to end, or killed. They are kept until they are reaped.
    private var ending: [any NurseryTransport] = []
    /// The requests that are not answered.
    private var requests = FIFO<Request>()
    private var startTimer: Timer?
    private var answerTimer: Timer?
    private var pause: Timer?
    private var failuresInARow = 0
    /// The number of nurseries that were started.
    private var number = 0
    /// What the current one has loaded.
    private var loaded: LaneImage?
    private var isClosed = false
    private var completion: (() -> Void)?

    /// - Parameters:
    ///   - image: what a lane would load now.
    ///   - makeProcess: starts the process of a nursery.
    init(
        loop: EventLoop, log: any LaneLog, times: Times = Times(), image: @escaping () -> LaneImage,
        makeProcess: @escaping () throws(Errno) -> any NurseryTransport
    ) {
        self.loop = loop
        self.log = log
        self.times = times
        self.image = image
        self.makeProcess = makeProcess
    }

    /// Starts a nursery, unless there is one.
    func start() {
        guard !isClosed, case .none = stage, pause == nil else { return }
        // Before it loads: if a file is replaced meanwhile, the nursery is as well.
        loaded = image()
        do throws(Errno) {
            let process = try makeProcess()
            process.onReply = { [weak self, unowned process] in self?.heard(process, $0, &$1) }
            process.onExit = { [weak self, unowned process] in self?.ended(process, $0) }
            stage = .starting(process, isLate: false)
            number += 1
            startTimer = loop.after(times.start) { [weak self] in
                guard let self, case .starting = stage else { return }
                letGo()
                failed("it was not ready after \(times.start)")
            }
        } catch {
            failed("it cannot be started: \(error)")
        }
    }

    /// Ends the nursery. The lanes that it has forked go on.
    ///
    /// - Parameter completion: called when no nursery is left, so that nothing is left for the service manager to kill, but
    ///   after a time in any case.
    func close(_ completion: @escaping () -> Void) {
        isClosed = true
        pause?.cancel()
        lostLanes.close()
        letGo()
        guard !ending.isEmpty else { return completion() }
        self.completion = completion
        loop.after(times.end) { [weak self] in
            self?.ending.forEach { $0.kill() }
            self?.complete()
        }
    }

    private func complete() {
        completion?()
        completion = nil
    }

    /// Starts another nursery in place of this one, because what this one has loaded may be old.
    func replace() {
        if case .none = stage { return }
        letGo()
        start()
    }

    /// Learns what has become of a lane.
    ///
    /// - Parameter number: that of the nursery that has forked it.
    func lane(of number: Int, is fate: Fate) {
        guard number == self.number, stage.process != nil else { return }
        switch fate {
        case .ready: failuresInARow = 0
        case .failed:
            letGo()
            failed("a lane that it has forked did not start")
        case .crashed:
            letGo()
            startLater(times.pauseAfterCrash)
        }
    }

    // MARK: Requests

    /// Whether `fork` is worth a try. Starts another nursery where the program or a library was replaced.
    var canFork: Bool {
        if stage.process != nil, image() != loaded { replace() }
        switch stage {
        case .none, .starting(_, isLate: true): return false
        case .starting, .ready: return true
        }
    }

    /// Has a lane forked. A nursery that is starting is waited for.
    ///
    /// - Parameter answer: called once, on a later turn of the loop.
    func fork(_ ends: consuming LaneEnds, _ answer: @escaping (consuming Answer) -> Void) {
        let request = Request(ends, answer)
        requests.append(request)
        switch stage {
        case .none, .starting(_, isLate: true): answerNone { $0 === request }
        case .starting: break
        case .ready(let process): send(request, to: process)
        }
        awaitAnswer()
    }

    private func send(_ request: Request, to process: any NurseryTransport) {
        do throws(Errno) {
            try request.send(to: process)
        } catch {
            answerNone { $0 === request }
        }
    }

    private func answerNone(_ isMeant: (Request) -> Bool) {
        let those = requests.filter(isMeant)
        guard !those.isEmpty else { return }
        requests.removeAll(where: isMeant)
        loop.after(.zero) { for request in those { request.answer(.none) } }
    }

    private func answerFirst(_ answer: consuming Answer) {
        guard let request = requests.first else { return }
        requests.removeFirst()
        forgetAnswer()
        awaitAnswer()
        request.answer(answer)
    }

    /// - Parameter isLast: the nursery is not given more time if it has not answered then.
    private func awaitAnswer(isLast: Bool = false) {
        guard answerTimer == nil, let request = requests.first, let process = stage.process else { return }
        answerTimer = loop.after(times.answer) { [weak self] in
            guard let self else { return }
            answerTimer = nil
            process.look()
            guard process === stage.process, requests.first === request else { return awaitAnswer() }
            if case .starting = stage {
                stage = .starting(process, isLate: true)
                return answerNone { _ in true }
            }
            // The machine or this process may have stood still, and not the nursery.
            guard isLast else { return awaitAnswer(isLast: true) }
            letGo(haste: true)
            failed("it did not answer within \(times.answer * 2)")
        }
    }

    private func forgetAnswer() {
        answerTimer?.cancel()
        answerTimer = nil
    }

    // MARK: What the nursery says

    private func heard(
        _ process: any NurseryTransport, _ reply: NurseryReply?, _ descriptors: inout ReceivedDescriptors
    ) {
        guard process === stage.process else { return }
        switch (reply, stage) {
        case (.ready?, .starting):
            startTimer?.cancel()
            stage = .ready(process)
            for request in requests { send(request, to: process) }
            forgetAnswer()
            awaitAnswer()
        case (.failed(let error)?, .ready) where requests.first != nil:
            log.nurseryFailed("it cannot fork: \(Errno(rawValue: error))")
            answerFirst(.none)
            // A process may be there all the same, if the one between it and the nursery was killed.
            lostLanes.look()
        case (.started(let processID)?, .ready) where requests.first != nil:
            do throws(Errno) {
                let spawned = try SpawnedProcess(adopting: processID)
                var numbers: ProcessNumbers?
                if let file = descriptors.take(0) { numbers = ProcessNumbers(adopting: file) }
                answerFirst(.started(spawned, numbers, nursery: number))
            } catch {
                answerFirst(.none)
            }
        default:
            letGo(haste: true)
            failed("its answer cannot be understood")
        }
    }

    /// The nursery is not asked any more. It is reaped when it has ended.
    ///
    /// - Parameter haste: it is killed, and not asked to end.
    private func letGo(haste: Bool = false) {
        // Lanes that it has forked by now are known by its answers.
        if !haste { stage.process?.look() }
        guard let process = stage.process else { return }
        ending.append(process)
        if case .ready = stage, !haste {
            process.hangUp()
            loop.after(times.end) { [weak process] in process?.kill() }
        } else {
            process.kill()
        }
        isLetGo()
    }

    private func isLetGo() {
        stage = .none
        startTimer?.cancel()
        forgetAnswer()
        answerNone { _ in true }
    }

    private func ended(_ process: any NurseryTransport, _ exit: ProcessExit) {
        let wasCurrent = process === stage.process
        if wasCurrent { isLetGo() }
        ending.removeAll { $0 === process }
        guard !isClosed else {
            if ending.isEmpty { complete() }
            return
        }
        lostLanes.look()
        if wasCurrent { failed("it ended with \(exit)") }
    }

    private func failed(_ reason: String) {
        log.nurseryFailed(reason)
        failuresInARow += 1
        startLater(min(times.longestPause, times.firstPause * (1 << min(failuresInARow - 1, 10))))
    }

    private func startLater(_ wait: Duration) {
        pause?.cancel()
        pause = loop.after(wait) { [weak self] in
            guard let self else { return }
            pause = nil
            start()
        }
    }
}
