internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// The child process of a lane and the seqpacket socket to it. Belongs to the loop's thread.
///
/// A lane parses what origins send, so the daemon does not trust what a lane says: it is decoded into a closed set of
/// reports, and the daemon kills a lane whose packet cannot be decoded.
final class LaneProcess: LaneTransport {
    /// How long a process that was asked to end may take before it is killed.
    private static let retirementTime = Duration.seconds(2)
    /// The maximum number of reports that are read in one turn of the loop, so that a lane that reports without end
    /// does not hold up the others.
    private static let reportsPerTurn = 64
    /// How many times that number is read at the end.
    private static let turnsAfterEnd = 64
    /// The largest report, in bytes.
    private static let maximumReport = 16 << 10

    /// 0 until the process is known.
    private(set) var processID: Int32 = 0
    var onReport: (LaneReport) -> Void = { _ in }
    var onExit: (ProcessExit) -> Void = { _ in }
    var onUnread: ((consuming OwnedDescriptor) -> Void)?

    private let program: Program
    /// Nil until the nursery has answered.
    private var child: Child?
    private var numbers: ProcessNumbers?
    /// The control socket. Its number is -1 once the process is reaped.
    private var channel: OwnedDescriptor
    private var words: LaneWords?
    private let buffer = ReportBuffer()
    private var channelWatch: Watch?
    private var exitWatch: Watch?
    private let loop: EventLoop
    private let log: any LaneLog
    private var retirement: Timer?
    private var isHungUp = false
    /// Its owner has killed it.
    private var isKilled = false
    private var hasReported = false
    private(set) var hasEnded = false

    /// How lanes are started.
    struct Program {
        var executable: String
        var environment: [String]
        /// Forks lanes, where it can; nil to start each lane as a program.
        var nursery: Nursery?
    }

    private final class Child {
        let process: SpawnedProcess

        init(_ process: consuming SpawnedProcess) { self.process = process }
    }

    /// Starts a lane.
    ///
    /// - Throws: `Errno` if a socket, a pipe or the process cannot be made.
    init(_ program: Program, loop: EventLoop, log: any LaneLog) throws(Errno) {
        self.program = program
        self.loop = loop
        self.log = log
        channel = OwnedDescriptor(adopting: -1)
        let ends = try makeEnds()
        if let nursery = program.nursery, nursery.canFork {
            nursery.fork(ends) { [self] in answered($0) }
        } else {
            try spawn(ends)
        }
    }

    private func makeEnds() throws(Errno) -> LaneEnds {
        let pair = try UnixSocket.seqpacketPair()
        let pipe = try Pipe()
        words = try LaneWords(try pipe.readEnd.duplicate(), loop: loop) { [weak self, log] in
            log.laneSays(self?.processID ?? 0, $0)
        }
        var first = pair.first
        swap(&channel, &first)
        return LaneEnds(control: pair.second, words: pipe.writeEnd)
    }

    private func spawn(_ ends: consuming LaneEnds) throws(Errno) {
        try begin(
            SpawnedProcess(
                path: program.executable, environment: program.environment,
                standardError: ends.words.rawValue,
                control: ends.control.rawValue,
                // A signal to the daemon's process group must reach the daemon alone; the lanes end when the daemon
                // does.
                newSession: true))
    }

    /// The process is there.
    private func begin(_ process: consuming SpawnedProcess, _ numbers: ProcessNumbers? = nil) throws(Errno) {
        let child = Child(process)
        self.child = child
        processID = child.process.processID
        self.numbers = numbers ?? ProcessNumbers(processID)
        if isKilled { child.process.signal(SIGKILL) }
        do {
            exitWatch = try loop.watch(child.process.pidfd, for: .readable) { [weak self] _ in
                self?.hasExited()
            }
            if !isHungUp {
                channelWatch = try loop.watch(channel, for: .readable) { [weak self] _ in self?.receive() }
            }
        } catch {
            // No other code would reap the process.
            child.process.signal(SIGKILL)
            _ = try? child.process.wait()
            self.child = nil
            throw error
        }
    }

    private func answered(_ answer: consuming Nursery.Answer) {
        do throws(Errno) {
            switch consume answer {
            case .started(let process, let numbers, let nursery):
                self.nursery = nursery
                try begin(process, numbers)
            case .none:
                // A process of the nursery may have the old ends: it sees the end of its socket.
                UnixSocket.shutDown(channel)
                if isHungUp || isKilled { return cannotStart(.interrupted) }
                try spawn(try makeEnds())
            }
        } catch {
            cannotStart(error)
        }
    }

    private func cannotStart(_ error: Errno) {
        startError = error
        end(.signalled(0))
    }

    /// Why there is no process, where the nursery could not be asked at once.
    private(set) var startError: Errno?
    private(set) var nursery: Int?

    deinit {
        exitWatch?.cancel()
        channelWatch?.cancel()
    }

    /// Frees itself also where the lane could not be started, in which case `LaneProcess.deinit` does not run.
    private final class ReportBuffer {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: maximumReport, alignment: 8)

        deinit {
            bytes.deallocate()
        }
    }

    var memory: Int? { numbers?.anonymousMemory }

    var threads: Int? { hasEnded ? nil : numbers?.threads }

    func send(_ command: LaneCommand, descriptors: [CInt]) throws(Errno) {
        try SocketMessage.send(command.packet, descriptors: descriptors, to: channel, dontWait: true)
    }

    func hangUp() {
        isHungUp = true
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
        retirement = loop.after(Self.retirementTime) { [weak self] in self?.kill() }
    }

    func kill() {
        isKilled = true
        child?.process.signal(SIGKILL)
    }

    /// - Returns: whether there may be more reports.
    @discardableResult
    private func receive() -> Bool {
        for _ in 0..<Self.reportsPerTurn {
            guard let report = nextReport() else { return false }
            hasReported = true
            onReport(report)
        }
        return true
    }

    private func nextReport() -> LaneReport? {
        do {
            // A lane sends no descriptors. Receiving one would be dangerous, because its sender can make close(2)
            // block.
            if case .received(let count) = try SocketMessage.receiveBytes(into: buffer.bytes, from: channel),
                count > 0, let report = LaneReport(packet: Array(buffer.bytes.prefix(count)))
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
        child?.process.signal(SIGKILL)
        return nil
    }

    private func hasExited() {
        guard let exit = child?.process.reapIfEnded() else { return }
        if nursery != nil, exit == .exited(SpawnedProcess.neverLetGo), !hasReported, !isHungUp, !isKilled {
            return startAsProgram()
        }
        end(exit)
    }

    /// The nursery has ended before it had let the lane go. Any lane can end like that, but one that has read from an origin
    /// has reported before.
    private func startAsProgram() {
        exitWatch?.cancel()
        channelWatch?.cancel()
        child = nil
        nursery = nil
        do throws(Errno) {
            try spawn(try makeEnds())
        } catch {
            cannotStart(error)
        }
    }

    private func end(_ exit: ProcessExit) {
        exitWatch?.cancel()
        retirement?.cancel()
        hasEnded = true
        words?.finish()
        // Reports that the lane sent before its end count, unless it was asked to end. The socket's buffer holds some
        // hundreds; without a filter of system calls a child of the lane could go on sending.
        if !isHungUp, startError == nil { for _ in 0..<Self.turnsAfterEnd where !receive() { break } }
        channelWatch?.cancel()
        var closed = OwnedDescriptor(adopting: -1)
        swap(&closed, &channel)
        if SocketMessage.hasUnread(closed), let onUnread { onUnread(closed) }
        onExit(exit)
    }
}
