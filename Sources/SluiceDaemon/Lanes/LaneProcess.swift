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

    let processID: Int32
    var onReport: (LaneReport) -> Void = { _ in }
    var onExit: (ProcessExit) -> Void = { _ in }
    var onUnread: ((consuming OwnedDescriptor) -> Void)?

    private let process: SpawnedProcess
    private let numbers: ProcessNumbers?
    /// The control socket. Its number is -1 once the process is reaped.
    private var channel: OwnedDescriptor
    private let words: LaneWords
    private let buffer = ReportBuffer()
    private var channelWatch: Watch?
    private var exitWatch: Watch?
    private let loop: EventLoop
    private var retirement: Timer?
    private var isHungUp = false
    private(set) var hasEnded = false

    /// Starts a lane.
    ///
    /// - Throws: `Errno` if a socket, a pipe or the process cannot be made.
    init(executable: String, environment: [String], loop: EventLoop, log: any LaneLog) throws(Errno) {
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
    }

    /// Frees itself also where the lane could not be started, in which case `LaneProcess.deinit` does not run.
    private final class ReportBuffer {
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: maximumReport, alignment: 8)

        deinit {
            bytes.deallocate()
        }
    }

    private func watch(_ loop: EventLoop) throws(Errno) {
        exitWatch = try loop.watch(process.pidfd, for: .readable) { [weak self] _ in self?.hasExited() }
        channelWatch = try loop.watch(channel, for: .readable) { [weak self] _ in self?.receive() }
    }

    var memory: Int? { numbers?.anonymousMemory }

    var threads: Int? { hasEnded ? nil : numbers?.threads }

    func send(_ command: LaneCommand, descriptors: [CInt]) throws(Errno) {
        let packet = command.packet
        let result: Result<Void, Errno> = packet.withUnsafeBytes { bytes in
            Result { () throws(Errno) in
                _ = try SocketMessage.send(bytes, descriptors: descriptors, to: channel, dontWait: true)
            }
        }
        try result.get()
    }

    func hangUp() {
        isHungUp = true
        channelWatch?.cancel()
        UnixSocket.shutDown(channel)
        retirement = loop.after(Self.retirementTime) { [weak self] in self?.kill() }
    }

    func kill() {
        process.signal(SIGKILL)
    }

    /// - Returns: whether there may be more reports.
    @discardableResult
    private func receive() -> Bool {
        for _ in 0..<Self.reportsPerTurn {
            guard let report = nextReport() else { return false }
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
        // Reports that the lane sent before its end count, unless it was asked to end. The socket's buffer holds some
        // hundreds; without a filter of system calls a child of the lane could go on sending.
        if !isHungUp { for _ in 0..<Self.turnsAfterEnd where !receive() { break } }
        channelWatch?.cancel()
        var closed = OwnedDescriptor(adopting: -1)
        swap(&closed, &channel)
        if SocketMessage.hasUnread(closed), let onUnread { onUnread(closed) }
        onExit(exit)
    }
}
