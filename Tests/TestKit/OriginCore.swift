internal import CTestKit
internal import Glibc
internal import SystemPackage
internal import Unix

/// The state that the threads of a `BadOrigin` share. It is a separate object so that the threads do not keep the
/// origin alive.
final class OriginCore: Sendable {
    struct State {
        var scripts: [String: BadOrigin.Script] = [:]
        var fallback: BadOrigin.Script?
        var requests: [HTTPHead] = []
        var failures: [String] = []
        /// The open connections. A socket is removed before it is closed.
        var sockets: [Int: CInt] = [:]
        var threads = 0
        var connections = 0
        var bytesSent = 0
        var isStopped = false
    }

    let state = Monitor(State())
    let stopGate: Gate
    private let listener: OwnedDescriptor

    init(host: String, port: UInt16) throws(Errno) {
        stopGate = try Gate()
        listener = OwnedDescriptor(adopting: try valueOrErrno(ctestkit_listen(host, port, 512)))
        try setNonblocking(listener.rawValue)
    }

    func port() throws(Errno) -> UInt16 {
        UInt16(try valueOrErrno(ctestkit_local_port(listener.rawValue)))
    }

    func start() {
        state.update { $0.threads += 1 }
        TestThread.detached { [self] in
            acceptAll()
            state.update { $0.threads -= 1 }
        }
    }

    func stop() {
        stopGate.open()
        state.update { state in
            state.isStopped = true
            for socket in state.sockets.values { shutdown(socket, CInt(SHUT_RDWR)) }
        }
        _ = state.wait(until: Deadline()) { $0.threads == 0 }
    }

    func record(_ request: HTTPHead) { state.update { $0.requests.append(request) } }

    func count(sent: Int) { state.update { $0.bytesSent += sent } }

    private func acceptAll() {
        var entries = [
            pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stopGate.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            if poll(&entries, 2, -1) < 0 { continue }
            if entries[1].revents != 0 { return }
            guard let socket = try? UnixSocket.accept(from: listener) else { continue }
            // The scripts expect blocking sockets.
            try? setNonblocking(socket.rawValue, false)
            // A head and a body are two writes. Without this option the second one waits for a delayed ACK.
            _ = ctestkit_set_no_delay(socket.rawValue)
            serve(socket)
        }
    }

    private func serve(_ socket: consuming OwnedDescriptor) {
        let raw = socket.rawValue
        let number: Int? = state.update { state in
            guard !state.isStopped, state.sockets.count < BadOrigin.connectionLimit else { return nil }
            state.connections += 1
            state.threads += 1
            state.sockets[state.connections - 1] = raw
            return state.connections - 1
        }
        guard let number else { return }
        let handle = socket.release()
        TestThread.detached { [self] in
            play(OwnedDescriptor(adopting: handle), number)
            state.update { $0.threads -= 1 }
        }
    }

    private func play(_ socket: consuming OwnedDescriptor, _ number: Int) {
        do {
            var connection = try OriginConnection(socket: socket, number: number, origin: self)
            do {
                while try !connection.isClosed && connection.readRequest() {
                    let path = connection.request.path
                    let script = state.read { $0.scripts[path] ?? $0.fallback }
                    if let script { try script(&connection) } else { try connection.respond("404 Not Found") }
                }
            } catch let error as Errno where error == .brokenPipe || error == .connectionReset {
                // The peer has gone, which is allowed.
            } catch {
                state.update { state in
                    if !state.isStopped { state.failures.append("\(error)") }
                }
            }
            // The socket is removed before the close. Otherwise `stop` could shut down the next owner of its number.
            state.update { $0.sockets[number] = nil }
            _ = consume connection
        } catch {
            state.update { $0.sockets[number] = nil }
        }
    }
}
