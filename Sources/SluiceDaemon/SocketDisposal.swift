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

    private let loop: EventLoop
    private let executable: String
    private let environment: [String]
    private let log: ServiceLog
    /// Their numbers; each is closed once, in `send`.
    private var waiting: [CInt] = []
    private var timer: Timer?
    private var process: SpawnedProcess?
    private var watch: Watch?

    init(loop: EventLoop, executable: String, environment: [String], log: ServiceLog) {
        self.loop = loop
        self.executable = executable
        self.environment = environment
        self.log = log
    }

    /// How many wait to be closed.
    var count: Int { waiting.count }

    /// Takes a socket that is shut down.
    func take(_ socket: consuming OwnedDescriptor) {
        waiting.append(socket.release())
        schedule()
    }

    private func schedule() {
        guard timer == nil, watch == nil, !waiting.isEmpty else { return }
        timer = loop.after(Self.pause) { [self] in
            timer = nil
            start()
        }
    }

    private func start() {
        do {
            let pair = try UnixSocket.seqpacketPair()
            let process = try SpawnedProcess(
                path: executable, arguments: ["--discard"], environment: environment, standardError: 2,
                control: pair.second.rawValue, newSession: true)
            watch = try loop.watch(process.pidfd, for: .readable) { [self] _ in ended() }
            self.process = consume process
            send(to: pair.first)
            // It ends when it sees the end of its socket, which is here.
        } catch {
            log.trouble(.acceptFailed, "a connection cannot be closed yet", "\(executable): \(error)")
            schedule()
        }
    }

    private func send(to socket: borrowing OwnedDescriptor) {
        var sent = 0
        let byte: [UInt8] = [0]
        for number in waiting {
            let isSent = byte.withUnsafeBytes { bytes in
                (try? SocketMessage.send(bytes, descriptors: [number], to: socket, dontWait: true)) != nil
            }
            // What does not fit goes with the next process.
            guard isSent else { break }
            close(number)
            sent += 1
        }
        waiting.removeFirst(sent)
    }

    private func ended() {
        watch?.cancel()
        watch = nil
        if let process = process.take() { _ = try? process.reap() }
        schedule()
    }
}
