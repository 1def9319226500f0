internal import EventLoop
internal import Glibc
internal import SluiceCore
internal import SystemPackage
internal import UnixSockets

/// One lane: a child process and the seqpacket socket to it. Belongs to the loop's thread.
///
/// A lane parses what origins send, so the daemon does not trust what a lane says: it is decoded into a closed set of
/// reports, and the daemon kills a lane whose packet cannot be decoded.
final class LaneProcess {
    /// What the lane is doing, as far as the pool is concerned.
    enum Activity: Equatable {
        /// The lane is not ready yet.
        case starting
        /// The lane has been able to take an order since this moment.
        case idle(since: ContinuousClock.Instant)
        /// The lane has an order.
        case busy
    }

    /// The user whose jobs the lane runs, and the origin that the latest of them asked.
    struct Affinity: Equatable {
        var userID: UInt32
        var origin: Origin
    }

    /// How long a retired lane may take to end before it is killed.
    private static let retirementTime = Duration.seconds(2)
    /// The maximum number of reports that are read in one turn of the loop, so that a lane that reports without end
    /// does not hold up the others.
    private static let reportsPerTurn = 64
    /// The largest report, in bytes.
    private static let maximumReport = 16 << 10
    /// The maximum number of threads of a lane, which needs about twelve. A lane with more takes those of others
    /// (`TasksMax=`, systemd.resource-control(5)).
    static let mostThreads = 64

    let processID: Int32
    var activity = Activity.starting
    var affinity: Affinity? {
        didSet { originBefore = oldValue?.origin }
    }
    /// The origin that the job before the latest one asked.
    private(set) var originBefore: Origin?
    /// The lane has had the client certificate for this host, and so fetches from this host alone.
    var certificateHost: String?
    /// The account of a job that has ended, which the lane has kept for its next job.
    var account: JobAccount?
    /// The pool has asked the lane to end, so its end does not count as a death.
    private(set) var isRetired = false
    /// Why the daemon has killed the lane.
    var fault: String?
    /// The process is reaped. Reports that it sent before may still follow.
    private(set) var hasEnded = false

    private let process: SpawnedProcess
    private let numbers: ProcessNumbers?
    /// The control socket. Its number is -1 once the process is reaped.
    private var channel: OwnedDescriptor
    /// Gets the control socket of a lane that has ended, if it holds unread messages.
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
    ///   - onReport: called with every report, in order.
    ///   - onExit: called once, after the last report, when the process has been reaped. It will never write again.
    /// - Throws: `Errno` if a socket, a pipe or the process cannot be made.
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
            // A signal to the daemon's process group must reach the daemon alone; the lanes end when the daemon does.
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
            // No other code would reap the process.
            process.signal(SIGKILL)
            _ = try? process.wait()
            throw error
        }
    }

    /// The lane's process ID, once it is known, for the log entries made of its standard error.
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

    /// The lane's memory, in bytes, without what is mapped from files; nil if it cannot be read.
    var memory: Int? { numbers?.anonymousMemory }

    /// Kills a lane that has more threads than it can need.
    func killIfCrowded() {
        guard !hasEnded, let threads = numbers?.threads, threads > Self.mostThreads else { return }
        fault = "it had \(threads) threads"
        kill()
    }

    /// Sends a command. A lane that cannot take it is killed, and `onExit` follows.
    func send(_ command: LaneCommand, descriptors: [CInt] = []) {
        do {
            try transmit(command, descriptors: descriptors)
        } catch {
            kill()
        }
    }

    /// Asks whether the lane is alive (`LaneCommand.probe`). A lane that is too far behind to take the question will
    /// not answer it either; the caller must deal with that.
    func ask(_ number: Int, about serial: Int) {
        try? transmit(.probe(serial: serial, number: number))
    }

    /// Sends a command that the caller can also send later.
    ///
    /// - Returns: false if the lane is too far behind to take it.
    func canSend(_ command: LaneCommand) -> Bool {
        (try? transmit(command)) != nil
    }

    private func transmit(_ command: LaneCommand, descriptors: [CInt] = []) throws {
        _ = try command.packet.withUnsafeBytes { bytes throws(Errno) in
            try SocketMessage.send(bytes, descriptors: descriptors, to: channel, dontWait: true)
        }
    }

    /// Opens the staging pipe of an account for the lane; nil if the lane has it already.
    ///
    /// - Throws: the error of open(2).
    func open(_ account: JobAccount) throws(Errno) -> OwnedDescriptor? {
        self.account === account ? nil : try account.stagingForLane()
    }

    /// Gives the lane a job.
    ///
    /// - Parameters:
    ///   - account: the account that the lane has kept, or another one. In both cases it counts as kept no more.
    ///   - staging: what `open` has returned.
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

    /// Asks the lane to end by shutting its control socket down.
    func retire() {
        isRetired = true
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
        retirement = loop.after(Self.retirementTime) { [weak self] in self?.kill() }
    }

    /// Ends the lane at once.
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
            // A lane sends no descriptors. Receiving one would be dangerous, because its sender can make close(2)
            // block.
            if case .received(let count) = try SocketMessage.receiveBytes(into: buffer, from: channel),
                count > 0, let report = LaneReport(packet: Array(buffer.prefix(count)))
            {
                return report
            }
        } catch .wouldBlock {
            return nil
        } catch {
            // Treated like an end of file.
        }
        // The lane has closed its socket or sent an invalid packet, so it is of no more use. The pidfd reports its
        // exit.
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
        // Reports that the lane sent before its end count, unless it is retired.
        if !isRetired { receive() }
        channelWatch?.cancel()
        var closed = OwnedDescriptor(adopting: -1)
        swap(&closed, &channel)
        if SocketMessage.hasUnread(closed), let onUnread { onUnread(closed) }
        onExit(self, exit)
    }
}
