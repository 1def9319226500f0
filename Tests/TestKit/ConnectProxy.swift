internal import CTestKit
internal import Glibc
internal import Unix

/// A proxy for https that makes tunnels (CONNECT, RFC 9110 §9.3.6), or does what its script says instead.
///
/// ## Concurrency model
/// As in `BadOrigin`: each connection has a thread.
public final class ConnectProxy: Sendable {
    /// What the proxy does with one CONNECT.
    public enum Answer: Sendable {
        /// Makes the tunnel.
        case forward
        /// Makes the tunnel, and closes it after this number of bytes from the server.
        case cut(after: Int)
        /// Refuses: `403 Forbidden`, and these fields.
        case refuse(String, headers: [String] = [])
        /// Sends these bytes and closes.
        case say(String)
        /// Sends nothing until the client closes.
        case beSilent
        /// Closes without an answer.
        case close
        /// Makes the tunnel, and passes no bytes on.
        case forwardNothing
    }

    private let origin: BadOrigin

    /// Listens.
    ///
    /// - Parameter answer: what to do with a CONNECT, by its number from 0 on.
    public init(_ answer: @escaping @Sendable (Int) -> Answer) throws {
        let count = Monitor(0)
        origin = try BadOrigin { connection in
            guard connection.request.method == "CONNECT" else {
                return try connection.respond("405 Method Not Allowed")
            }
            let number = count.update { count in
                count += 1
                return count - 1
            }
            try Self.play(answer(number), on: &connection)
        }
    }

    /// The URL for `https_proxy`.
    public var url: String { origin.url("") }
    /// The port on 127.0.0.1.
    public var port: UInt16 { origin.port }
    /// The target `host:port` of each CONNECT so far.
    public var targets: [String] { origin.requests.map(\.target) }
    /// All requests so far.
    public var requests: [HTTPHead] { origin.requests }
    /// Connections to it that are open now.
    public var openConnections: Int { origin.openConnections }

    /// Closes all connections and the listener. May be called twice.
    public func stop() { origin.stop() }

    private static func play(_ answer: Answer, on connection: inout OriginConnection) throws {
        switch answer {
        case .forward: try tunnel(&connection, limit: .max)
        case .cut(let count): try tunnel(&connection, limit: count)
        case .refuse(let status, let headers):
            try connection.respond(status, headers: headers, body: Array("The proxy says no.".utf8))
        case .say(let text):
            try connection.send(text)
            connection.close()
        case .beSilent: connection.waitForClose()
        case .close: connection.close()
        case .forwardNothing:
            try connection.sendHead("200 Connection established", headers: [])
            connection.waitForClose()
        }
    }

    private static func tunnel(_ connection: inout OriginConnection, limit: Int) throws {
        let port = connection.request.target.split(separator: ":").last.flatMap { UInt16($0) }
        let handle = ctestkit_connect("127.0.0.1", port ?? 0)
        guard handle >= 0 else { return try connection.respond("502 Bad Gateway") }
        let server = OwnedDescriptor(adopting: handle)
        _ = ctestkit_set_no_delay(handle)
        try connection.sendHead("200 Connection established", headers: ["Via: 1.1 test"])
        relay(connection.descriptor, server.rawValue, limit)
        connection.close()
    }

    /// Passes bytes on in both directions until one side ends, or the server has sent this number of bytes.
    private static func relay(_ client: CInt, _ server: CInt, _ limit: Int) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        var left = limit
        var entries = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while left > 0 {
            if poll(&entries, 2, -1) < 0 { continue }
            if entries[0].revents != 0 {
                guard move(client, server, &buffer, buffer.count) != nil else { return }
            }
            if entries[1].revents != 0 {
                guard let count = move(server, client, &buffer, min(buffer.count, left)) else { return }
                left -= count
            }
        }
    }

    /// - Returns: the number of bytes passed on; nil where one side has ended.
    private static func move(_ from: CInt, _ to: CInt, _ buffer: inout [UInt8], _ most: Int) -> Int? {
        let count = recv(from, &buffer, most, 0)
        if count < 0, errno == EINTR { return 0 }
        guard count > 0 else { return nil }
        var sent = 0
        while sent < count {
            let result = buffer.withUnsafeBytes {
                send(
                    to, $0.baseAddress.map { $0 + sent }, count - sent,
                    CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
            if result < 0, errno == EINTR { continue }
            if result < 0, errno == EAGAIN {
                guard waitForRoom(to) else { return nil }
                continue
            }
            guard result > 0 else { return nil }
            sent += result
        }
        return count
    }

    /// - Returns: false where the peer has ended its sending half: it may never read again.
    private static func waitForRoom(_ socket: CInt) -> Bool {
        // POLLRDHUP, which Glibc declares only for _GNU_SOURCE.
        let ended: Int16 = 0x2000
        var entry = pollfd(fd: socket, events: Int16(POLLOUT) | ended, revents: 0)
        while poll(&entry, 1, -1) < 0 {}
        return entry.revents & (ended | Int16(POLLERR) | Int16(POLLHUP)) == 0
    }
}
