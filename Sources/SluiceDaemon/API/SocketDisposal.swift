internal import EventLoop
internal import Glibc
internal import Logging
internal import SystemPackage
internal import Unix

/// Closes sockets that hold unread messages, without blocking the loop's thread.
///
/// The unread messages may contain descriptors. The kernel closes them together with the socket, in the thread that
/// closes the socket, and their sender can make that close block (for a TCP socket with unsent data, SO_LINGER says for
/// how long; socket(7)). Only a process that exits does not wait for it. So the daemon sends such sockets to a process
/// that exits without receiving them, and closes its own descriptors while the sockets are in flight: then the daemon's
/// close is not the last one.
///
/// Only one such process runs at a time, and it starts after a pause in which more sockets gather, so that a client
/// that causes many of them uses little processor time. Belongs to the loop's thread.
final class SocketDisposal {
    /// How long sockets gather, and how long to wait after a process that could not be started.
    private static let pause = Duration.milliseconds(250)
    /// With at least this number of sockets the next process starts without that pause.
    private var crowd: Int { min(64, most / 2) }
    /// At this number of waiting sockets the daemon accepts no connections until some are gone, because each socket
    /// uses one of its descriptors.
    private let most: Int
    /// How long such a process may take to end. After that the daemon stops waiting for it, and another process takes
    /// the remaining sockets.
    private static let endTime = Duration.seconds(5)
    /// The number of descriptors that are reserved while sockets wait, so that starting the process does not fail for
    /// lack of them.
    private static let reserve = 8

    private let loop: EventLoop
    private let executable: String
    private let environment: [String]
    private let log: ServiceLog
    /// The descriptor numbers of the waiting sockets. Each is closed once, in `send`.
    private var waiting: [CInt] = []
    private var timer: Timer?
    /// The number of the process that discards sockets now, and how many there were.
    private var process: Int?
    private var processes = 0
    private var spare: [OwnedSpare] = []

    /// - Parameter limit: the number of descriptors that this process may have. A sixteenth of them is for waiting
    ///   sockets.
    init(
        loop: EventLoop, executable: String, environment: [String], descriptors limit: Int, log: ServiceLog
    ) {
        most = min(1024, max(8, limit / 16))
        self.loop = loop
        self.executable = executable
        self.environment = environment
        self.log = log
    }

    /// The number of sockets that wait to be closed.
    var count: Int { waiting.count }

    /// Takes a socket, which must be shut down already.
    func take(_ socket: consuming OwnedDescriptor) {
        if spare.isEmpty { fillReserve() }
        waiting.append(socket.release())
        if waiting.count == crowd {
            timer?.cancel()
            timer = nil
        }
        schedule()
    }

    /// Whether there is room for more connections.
    var hasRoom: Bool { waiting.count < most }

    private func schedule() {
        guard timer == nil, process == nil, !waiting.isEmpty else { return }
        startLater(waiting.count < crowd ? Self.pause : .milliseconds(1))
    }

    private func startLater(_ delay: Duration) {
        timer = loop.after(delay) { [self] in
            timer = nil
            start()
        }
    }

    private func fillReserve() {
        spare = (0..<Self.reserve).compactMap { _ in OwnedSpare() }
    }

    private func start() {
        spare = []
        defer { if !waiting.isEmpty { fillReserve() } }
        do {
            let pair = try UnixSocket.seqpacketPair()
            // It exits without receiving what was sent to it, so that the kernel discards that.
            let discarder = try SpawnedProcess(
                path: executable, arguments: ["--discard"], environment: environment, standardError: 2,
                control: pair.second.rawValue, newSession: true)
            processes += 1
            let number = processes
            try loop.reapAtEnd(discarder) { [weak self] in self?.ended(number) }
            process = number
            loop.after(Self.endTime) { [weak self] in self?.ended(number) }
            send(to: pair.first)
            // The process ends when it sees the end of its control socket, whose other end closes here.
        } catch {
            log.trouble(.acceptFailed, "a connection cannot be closed yet", "\(executable): \(error)")
            startLater(Self.pause)
        }
    }

    private func send(to socket: borrowing OwnedDescriptor) {
        while !waiting.isEmpty {
            let batch = Array(waiting.prefix(SocketMessage.maximumDescriptors))
            // Sockets that do not fit go to the next process.
            guard (try? SocketMessage.send([0], descriptors: batch, to: socket, dontWait: true)) != nil else {
                return
            }
            for number in batch { close(number) }
            waiting.removeFirst(batch.count)
        }
    }

    private func ended(_ number: Int) {
        guard process == number else { return }
        process = nil
        schedule()
    }
}

/// A descriptor of /dev/null that is held in reserve.
private final class OwnedSpare {
    private let descriptor: OwnedDescriptor

    init?() {
        let number = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        descriptor = OwnedDescriptor(adopting: number)
    }
}
