internal import CTestKit
internal import Glibc
internal import SystemPackage
internal import Unix

/// A TCP relay in front of a server that cuts connections where the test says. It does not interpret the bytes that
/// it passes on, so it treats TLS and HTTP/2 alike.
///
/// ## Concurrency model
/// One thread accepts, one more relays each connection. `stop` shuts the sockets down and waits for the threads.
public final class CuttingRelay: Sendable {
    /// Where a connection is cut.
    public struct Cut: Sendable {
        /// The number of bytes of the server that are passed on before the cut.
        public var after: Int
        /// Whether to cut with RST instead of FIN.
        public var resets: Bool

        /// A cut.
        public init(after: Int, resets: Bool) {
            self.after = after
            self.resets = resets
        }
    }

    /// The port to connect to, on 127.0.0.1.
    public let port: UInt16
    private let core: Core

    /// Listens.
    ///
    /// - Parameters:
    ///   - target: the server's port on 127.0.0.1.
    ///   - cut: where to cut a connection, by its number from 0 on; nil for no cut.
    public init(to target: UInt16, cut: @escaping @Sendable (Int) -> Cut?) throws {
        core = try Core(target: target, cut: cut)
        port = try core.port()
        core.start()
    }

    deinit { stop() }

    /// Number of connections that were cut so far.
    public var cuts: Int { core.state.read { $0.cuts } }

    /// Connections accepted so far.
    public var connections: Int { core.state.read { $0.connections } }

    /// Ends all connections and waits for the threads. May be called twice.
    public func stop() { core.stop() }

    private struct State {
        var connections = 0
        var cuts = 0
        var threads = 0
        var isStopped = false
        /// The sockets by the numbers of the connections. They are removed before they are closed.
        var sockets: [Int: [CInt]] = [:]
    }

    private final class Core: Sendable {
        let state = Monitor(State())
        private let stopGate: Gate
        private let listener: OwnedDescriptor
        private let target: UInt16
        private let cut: @Sendable (Int) -> Cut?

        init(target: UInt16, cut: @escaping @Sendable (Int) -> Cut?) throws(Errno) {
            self.target = target
            self.cut = cut
            stopGate = try Gate()
            listener = OwnedDescriptor(adopting: try valueOrErrno(ctestkit_listen("127.0.0.1", 0, 512)))
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
                for socket in state.sockets.values.joined() { shutdown(socket, CInt(SHUT_RDWR)) }
            }
            _ = state.wait(until: Deadline()) { $0.threads == 0 }
        }

        private func acceptAll() {
            var entries = [
                pollfd(fd: listener.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stopGate.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            while true {
                if poll(&entries, 2, -1) < 0 { continue }
                if entries[1].revents != 0 { return }
                guard let client = try? UnixSocket.accept(from: listener) else { continue }
                serve(client)
            }
        }

        private func serve(_ client: consuming OwnedDescriptor) {
            try? setNonblocking(client.rawValue, false)
            let server = ctestkit_connect("127.0.0.1", target)
            guard server >= 0 else { return }
            _ = ctestkit_set_no_delay(client.rawValue)
            _ = ctestkit_set_no_delay(server)
            let handle = client.release()
            let number: Int? = state.update { state in
                guard !state.isStopped else { return nil }
                state.connections += 1
                state.threads += 1
                state.sockets[state.connections - 1] = [handle, server]
                return state.connections - 1
            }
            guard let number else {
                close(handle)
                close(server)
                return
            }
            TestThread.detached { [self] in
                let wasCut = relay(handle, server, cut(number))
                state.update { state in
                    state.sockets[number] = nil
                    if wasCut { state.cuts += 1 }
                }
                close(handle)
                close(server)
                state.update { $0.threads -= 1 }
            }
        }

        /// - Returns: whether the connection was cut.
        private func relay(_ client: CInt, _ server: CInt, _ cut: Cut?) -> Bool {
            var buffer = [UInt8](repeating: 0, count: 65536)
            var left = cut?.after ?? .max
            var entries = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            while left > 0 {
                if poll(&entries, 2, -1) < 0 { continue }
                if entries[0].revents != 0 {
                    guard move(from: client, to: server, &buffer, atMost: buffer.count) != nil else {
                        return false
                    }
                }
                if entries[1].revents != 0 {
                    guard let count = move(from: server, to: client, &buffer, atMost: min(buffer.count, left))
                    else { return false }
                    left -= count
                }
            }
            if cut?.resets == true { _ = ctestkit_reset_on_close(client) }
            return true
        }

        /// Moves what can be read at once; nil where one side has ended.
        private func move(from: CInt, to: CInt, _ buffer: inout [UInt8], atMost: Int) -> Int? {
            let count = recv(from, &buffer, atMost, 0)
            if count < 0, errno == EINTR { return 0 }
            guard count > 0 else { return nil }
            var sent = 0
            while sent < count {
                let result = buffer.withUnsafeBytes {
                    send(to, $0.baseAddress.map { $0 + sent }, count - sent, CInt(MSG_NOSIGNAL))
                }
                if result < 0, errno == EINTR { continue }
                guard result > 0 else { return nil }
                sent += result
            }
            return count
        }
    }
}
