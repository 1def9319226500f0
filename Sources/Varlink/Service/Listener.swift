internal import EventLoop
internal import SystemPackage
internal import UnixSockets

/// A listening socket: hands out what it accepts, and pauses rather than spin when nothing can be accepted.
final class Listener {
    /// How long to leave clients waiting after `accept(2)` has failed, for want of descriptors as a rule. The
    /// socket stays readable all that time, so without a pause the loop would turn at full speed.
    static let pause = Duration.milliseconds(100)
    /// How many to accept before the loop gets to its other work: a millisecond of it.
    private static let batch = 128
    /// As many wait at the end at most (net.core.somaxconn is 4,096).
    private static let mostWaiting = 8192

    private let loop: EventLoop
    private let socket: OwnedDescriptor
    private var watch: Watch?
    private var timer: Timer?
    private let onConnection: (consuming OwnedDescriptor) -> Void
    private let onFailure: (Errno) -> Void
    private let mayAccept: () -> Bool

    init(
        _ socket: consuming OwnedDescriptor, loop: EventLoop, mayAccept: @escaping () -> Bool,
        onConnection: @escaping (consuming OwnedDescriptor) -> Void, onFailure: @escaping (Errno) -> Void
    ) throws(Errno) {
        // A blocking socket, as one from a service manager may be, would stop the loop when a client goes before it
        // is accepted.
        try setNonblocking(socket.rawValue)
        self.socket = socket
        self.loop = loop
        self.onConnection = onConnection
        self.onFailure = onFailure
        self.mayAccept = mayAccept
        watch = try loop.watch(self.socket, for: .readable) { [unowned self] _ in self.accept() }
    }

    deinit {
        close()
    }

    func close() {
        watch?.cancel()
        watch = nil
        timer?.cancel()
    }

    /// Closes it, and hands out those who wait: close(2) of the socket would close what they have sent, too.
    func close(_ letGo: (consuming OwnedDescriptor) -> Void) {
        close()
        for _ in 0..<Self.mostWaiting {
            guard let waiting = try? UnixSocket.accept(from: socket) else { return }
            letGo(waiting)
        }
    }

    private func accept() {
        do {
            for _ in 0..<Self.batch {
                guard mayAccept() else { return wait() }
                guard watch != nil, let connection = try UnixSocket.accept(from: socket) else { return }
                onConnection(connection)
            }
        } catch {
            wait()
            onFailure(error)
        }
    }

    private func wait() {
        watch?.readiness = []
        timer = loop.after(Self.pause) { [weak self] in self?.watch?.readiness = .readable }
    }
}
