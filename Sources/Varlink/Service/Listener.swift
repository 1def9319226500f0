internal import EventLoop
internal import SystemPackage
internal import Unix

/// A listening socket: hands out what it accepts, and pauses rather than spin when nothing can be accepted.
final class Listener {
    /// How long clients are left waiting after `accept(2)` has failed, usually because there were no descriptors
    /// left. The socket stays readable all that time, so without a pause the loop would spin.
    static let pause = Duration.milliseconds(100)
    /// Maximum number of connections accepted before the loop does its other work. They take about a millisecond.
    private static let batch = 128
    /// Maximum number of waiting clients that are released at the end (net.core.somaxconn is 4,096).
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
        // A blocking socket, which a service manager may pass, would stop the loop when a client goes before it is
        // accepted.
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

    /// Closes the listener and hands out the clients that wait: close(2) of the socket would also close what they
    /// have sent.
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
