internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SystemPackage
internal import UnixSockets

/// One lane: a child process and the seqpacket socket to it. Belongs to the loop's thread.
///
/// What a lane says is a claim of a process that reads what strangers send: it is decoded into a closed set of reports,
/// and one that does not decode costs the lane its life.
final class LaneProcess {
    /// What the lane is doing, as far as the pool is concerned.
    enum Activity: Equatable {
        /// Not ready yet.
        case starting
        /// Could take an order, since this moment.
        case idle(since: ContinuousClock.Instant)
        /// Has an order.
        case busy
    }

    /// Whose jobs it has run: nobody's yet, or one user's, last from this origin.
    struct Affinity: Equatable {
        var userID: UInt32
        var origin: Origin
    }

    /// How long a lane that was asked to go may take.
    private static let retirementTime = Duration.seconds(2)
    /// As many reports are taken in one turn of the loop: a lane that talks without end must not hold up the others.
    private static let reportsPerTurn = 64
    /// The largest report, in bytes.
    private static let maximumReport = 16 << 10
    /// More threads than a lane ever has, which is some twelve: one with more takes those of others (TasksMax=).
    static let mostThreads = 64

    let processID: Int32
    var activity = Activity.starting
    var affinity: Affinity? {
        didSet { originBefore = oldValue?.origin }
    }
    /// Where the job before the latest one asked.
    private(set) var originBefore: Origin?
    /// It has had the client certificate for this host, and so fetches from there alone.
    var certificateHost: String?
    /// What the lane has kept of a job that is over, for the next one.
    var account: JobAccount?
    /// Set when the pool has asked it to go: its end is no death.
    private(set) var isRetired = false
    /// Why the service has killed it.
    var fault: String?
    /// The process is reaped. What it had said before may still be told.
    private(set) var hasEnded = false

    private let process: SpawnedProcess
    private let numbers: ProcessNumbers?
    /// The number is -1 once the process is reaped.
    private var channel: OwnedDescriptor
    /// Gets the control socket of a lane that has ended, where that holds something unread.
    var onUnread: ((consuming OwnedDescriptor) -> Void)?
    private let words: LaneWords
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: maximumReport, alignment: 8)
    private var channelWatch: Watch?
    private var exitWatch: Watch?
    private let loop: EventLoop
    private var retirement: Timer?
    private let onReport: (LaneProcess, LaneReport) -> Void
    private let onExit: (LaneProcess, ProcessExit) -> Void

    /// Starts a lane.
    ///
    /// - Parameters:
    ///   - onReport: every report, in order.
    ///   - onExit: once, after the last report, when the process has been reaped: it will never write again.
    /// - Throws: what spawning said.
    init(
        executable: String, environment: [String], loop: EventLoop, log: ServiceLog,
        onReport: @escaping (LaneProcess, LaneReport) -> Void,
        onExit: @escaping (LaneProcess, ProcessExit) -> Void
    ) throws(Errno) {
        let pair = try UnixSocket.seqpacketPair()
        let pipe = try Pipe()
        let name = Name()
        words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) { log.laneSays(name.processID, $0) }
        process = try SpawnedProcess(
            path: executable, environment: environment, standardError: pipe.writeEnd.rawValue,
            control: pair.second.rawValue,
            // A signal to our process group is for us: lanes go when we do.
            newSession: true)
        let processID = process.processID
        self.processID = processID
        name.processID = processID
        numbers = ProcessNumbers(processID)
        channel = pair.first
        self.loop = loop
        self.onReport = onReport
        self.onExit = onExit
        do {
            try watch(loop)
        } catch {
            // Nobody else would collect it.
            process.signal(SIGKILL)
            _ = try? process.wait()
            throw error
        }
    }

    /// Whose words they are, once it is known.
    private final class Name {
        var processID: Int32 = 0
    }

    deinit {
        exitWatch?.cancel()
        channelWatch?.cancel()
        buffer.deallocate()
    }

    private func watch(_ loop: EventLoop) throws(Errno) {
        exitWatch = try loop.watch(process.pidfd, for: .readable) { [weak self] _ in self?.hasExited() }
        channelWatch = try loop.watch(channel, for: .readable) { [weak self] _ in self?.receive() }
    }

    /// What it takes of the machine's memory, in bytes, without what it shares with files; nil where that cannot be told.
    var memory: Int? { numbers?.anonymousMemory }

    /// Kills a lane that has more threads than it can need.
    func killIfCrowded() {
        guard !hasEnded, let threads = numbers?.threads, threads > Self.mostThreads else { return }
        fault = "it had \(threads) threads"
        kill()
    }

    /// Sends a command; a lane that cannot take it is killed, and its exit says the rest.
    func send(_ command: LaneCommand, descriptors: [CInt] = []) {
        do {
            try transmit(command, descriptors: descriptors)
        } catch {
            kill()
        }
    }

    /// Asks whether the lane is alive (`LaneCommand.probe`). One that is too far behind to take the question will not
    /// answer it, and whoever asks deals with that.
    func ask(_ number: Int, about serial: Int) {
        try? transmit(.probe(serial: serial, number: number))
    }

    /// Sends what can be said later just as well.
    ///
    /// - Returns: false where the lane is too far behind to take it.
    func canSend(_ command: LaneCommand) -> Bool {
        (try? transmit(command)) != nil
    }

    private func transmit(_ command: LaneCommand, descriptors: [CInt] = []) throws {
        _ = try command.packet.withUnsafeBytes { bytes throws(Errno) in
            try SocketMessage.send(bytes, descriptors: descriptors, to: channel, dontWait: true)
        }
    }

    /// The staging pipe of an account as the lane is to have it; nil where it has it already.
    ///
    /// - Throws: what `open(2)` says.
    func open(_ account: JobAccount) throws(Errno) -> OwnedDescriptor? {
        self.account === account ? nil : try account.stagingForLane()
    }

    /// Gives the lane a job.
    ///
    /// - Parameters:
    ///   - account: the one that the lane has kept, or another: then it keeps none.
    ///   - staging: what `open` has said.
    func give(
        _ order: LaneOrder, sink: JobSink, account: JobAccount, staging: consuming OwnedDescriptor?
    ) {
        self.account = nil
        var descriptors = sink.withDescriptor { [$0.rawValue] } ?? []
        if let staging {
            descriptors += [account.ledgerFile.rawValue, staging.rawValue]
            send(.order(order), descriptors: descriptors)
        } else {
            send(.order(order), descriptors: descriptors)
        }
    }

    /// Asks the lane to go: the end of its control socket is the sign.
    func retire() {
        isRetired = true
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
        retirement = loop.after(Self.retirementTime) { [weak self] in self?.kill() }
    }

    /// Ends it at once.
    func kill() {
        process.signal(SIGKILL)
    }

    private func receive() {
        for _ in 0..<Self.reportsPerTurn {
            guard let report = nextReport() else { return }
            onReport(self, report)
        }
    }

    private func nextReport() -> LaneReport? {
        do {
            // A lane has no descriptors to send, and to close one may take as long as its sender likes.
            if case .received(let count) = try SocketMessage.receiveBytes(into: buffer, from: channel),
                count > 0, let report = LaneReport(packet: Array(buffer.prefix(count)))
            {
                return report
            }
        } catch .wouldBlock {
            return nil
        } catch {
            // As an end of file.
        }
        // It has closed its socket or talks nonsense: of no more use. Its exit comes through the pidfd.
        channelWatch?.cancel()
        kill()
        return nil
    }

    private func hasExited() {
        let exit: ProcessExit?
        do {
            exit = try process.reap()
        } catch {
            exit = .signalled(0)
        }
        guard let exit else { return }
        exitWatch?.cancel()
        retirement?.cancel()
        hasEnded = true
        words.finish()
        // What it said before it ended counts; a retired lane has nothing to say.
        if !isRetired { receive() }
        channelWatch?.cancel()
        var closed = OwnedDescriptor(adopting: -1)
        swap(&closed, &channel)
        if SocketMessage.hasUnread(closed), let onUnread { onUnread(closed) }
        onExit(self, exit)
    }
}
