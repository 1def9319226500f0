/// One line of `/proc/net/tcp`.
public struct TCPConnection: Sendable, Hashable {
    /// The port on this side.
    public let localPort: UInt16
    /// The port on the other side.
    public let remotePort: UInt16
    /// The kernel's number of the state: 1 is ESTABLISHED, 10 is LISTEN.
    public let state: UInt8
    /// Bytes written but not yet acknowledged.
    public let sendQueue: Int
    /// Bytes received but not yet read.
    public let receiveQueue: Int
    /// The running timer: 2 is that of keep-alive probes (proc(5)).
    public let timer: UInt8
}

/// The kernel's view of TCP connections over IPv4 of this network namespace.
public enum TCPTable {
    /// All connections.
    public static func all() throws -> [TCPConnection] {
        try readText("/proc/net/tcp").split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 5 else { return nil }
            func hex<Number: FixedWidthInteger>(_ text: Substring?, _: Number.Type) -> Number {
                text.flatMap { Number($0, radix: 16) } ?? 0
            }
            let queues = fields[4].split(separator: ":")
            return TCPConnection(
                localPort: hex(fields[1].split(separator: ":").last, UInt16.self),
                remotePort: hex(fields[2].split(separator: ":").last, UInt16.self),
                state: hex(fields[3], UInt8.self),
                sendQueue: hex(queues.first, Int.self), receiveQueue: hex(queues.last, Int.self),
                timer: hex(fields[5].split(separator: ":").first, UInt8.self))
        }
    }

    /// The established connections of a server on `port`, seen from the server.
    public static func established(localPort port: UInt16) throws -> [TCPConnection] {
        try all().filter { $0.localPort == port && $0.state == 1 }
    }

    /// Waits until a server on `port` is blocked: bytes wait in its send queue, and their number stays the same for
    /// `calm`. Polls, since the kernel has no event for "nothing moves any more".
    public static func waitUntilBlocked(
        localPort port: UInt16, calm: Duration = .milliseconds(300),
        within duration: Duration = Deadline.usual
    ) throws {
        // A change of the timer is no movement of bytes.
        var last: [[Int]] = []
        var since = ContinuousClock.now
        try eventually("the server on port \(port) is held back", within: duration, every: .milliseconds(20))
        {
            let connections = try established(localPort: port).sorted { $0.remotePort < $1.remotePort }
            let now = connections.map { [Int($0.remotePort), $0.sendQueue, $0.receiveQueue] }
            if now != last || !connections.contains(where: { $0.sendQueue > 0 }) {
                last = now
                since = .now
            }
            return since.duration(to: .now) >= calm * Busyness.now(age: .seconds(5))
        }
    }
}
