internal import EventLoop
internal import Glibc
internal import Logging
internal import SystemPackage
internal import UnixSockets

/// Closes sockets of clients that hold something unread, without waiting for it.
///
/// Among what is unread there may be descriptors, and the kernel closes them with the socket: in the thread that closes it,
/// and for as long as their sender likes (of a TCP socket with unsent data, SO_LINGER says how long). Only a process that
/// ends does not wait for that. So such sockets are sent, unreceived, to a process that does nothing but end, and are closed
/// here while they are on their way: then it is not the last close.
///
/// One such process at a time, after a pause in which more sockets gather: who makes many of them necessary buys little of
/// the processor with that. Belongs to the loop's thread.
final class SocketDisposal {
    /// How long sockets gather, and how long to wait after a process that could not be started.
    private static let pause = Duration.milliseconds(250)
    /// With so many sockets there is no waiting for more.
    private static let crowd = 64
    /// Past so many no connection is accepted until some are gone: each has a descriptor of ours.
    private let most: Int
    /// How long such a process may take to end. One that takes longer is left to itself, and another one does the rest.
    private static let endTime = Duration.seconds(5)
    /// Descriptors that are kept, while sockets wait, for starting the process: it must not fail for want of them.
    private static let reserve = 8

    private let loop: EventLoop
    private let executable: String
    private let environment: [String]
    private let log: ServiceLog
    /// Their numbers; each is closed once, in `send`.
    private var waiting: [CInt] = []
    private var timer: Timer?
    private var process: Discarder?
    private var spare: [OwnedSpare] = []

    /// - Parameter limit: descriptors that this process may have; a sixteenth of them is for this.
    init(
        loop: EventLoop, executable: String, environment: [String], descriptors limit: Int, log: ServiceLog
    ) {
        most = min(1024, max(8, limit / 16))
        self.loop = loop
        self.executable = executable
        self.environment = environment
        self.log = log
    }

    /// How many wait to be closed.
    var count: Int { waiting.count }

    /// Takes a socket that is shut down.
    func take(_ socket: consuming OwnedDescriptor) {
        if spare.isEmpty { fillReserve() }
        waiting.append(socket.release())
        schedule()
    }

    /// Whether there is room for more connections.
    var hasRoom: Bool { waiting.count < most }

    private func schedule() {
        guard timer == nil, process == nil, !waiting.isEmpty else { return }
        timer = loop.after(waiting.count < min(Self.crowd, most / 2) ? Self.pause : .milliseconds(1)) {
            [self] in
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
            let discarder = try Discarder(
                executable: executable, environment: environment, control: pair.second, loop: loop)
            process = discarder
            discarder.onEnd = { [weak self, weak discarder] in
                if let self, let discarder { ended(discarder) }
            }
            loop.after(Self.endTime) { [weak self, weak discarder] in
                if let self, let discarder { ended(discarder) }
            }
            send(to: pair.first)
            // It ends when it sees the end of its socket, which is here.
        } catch {
            log.trouble(.acceptFailed, "a connection cannot be closed yet", "\(executable): \(error)")
            timer = loop.after(Self.pause) { [self] in
                timer = nil
                start()
            }
        }
    }

    private func send(to socket: borrowing OwnedDescriptor) {
        let byte: [UInt8] = [0]
        while !waiting.isEmpty {
            let batch = Array(waiting.prefix(SocketMessage.maximumDescriptors))
            let isSent = byte.withUnsafeBytes { bytes in
                (try? SocketMessage.send(bytes, descriptors: batch, to: socket, dontWait: true)) != nil
            }
            // What does not fit goes with the next process.
            guard isSent else { return }
            for number in batch { close(number) }
            waiting.removeFirst(batch.count)
        }
    }

    private func ended(_ discarder: Discarder) {
        guard process === discarder else { return }
        process = nil
        schedule()
    }
}

/// A process that ends, with what was sent to it.
private final class Discarder {
    var onEnd: () -> Void = {}
    private let process: SpawnedProcess
    private var watch: Watch?

    init(
        executable: String, environment: [String], control: borrowing OwnedDescriptor, loop: EventLoop
    ) throws(Errno) {
        process = try SpawnedProcess(
            path: executable, arguments: ["--discard"], environment: environment, standardError: 2,
            control: control.rawValue, newSession: true)
        // Keeps this alive until the process has ended, however long that takes.
        watch = try loop.watch(process.pidfd, for: .readable) { [self] _ in
            _ = try? process.reap()
            watch?.cancel()
            watch = nil
            onEnd()
        }
    }
}

/// A descriptor that stands for another one.
private final class OwnedSpare {
    private let descriptor: OwnedDescriptor

    init?() {
        let number = open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        descriptor = OwnedDescriptor(adopting: number)
    }
}
