/// An HTTP/1.1 server made of raw sockets. It does what its scripts say, right or wrong.
///
/// The path of a connection's first request chooses the script. When the script returns, the next request on the same
/// connection chooses again, unless the script has closed or reset it. The server and its threads end with this
/// value.
///
/// ## Concurrency model
/// One thread accepts connections, and one more serves each connection. Scripts run on the connections' threads, many
/// at once. `stop` shuts the sockets down and waits for the threads.
public final class BadOrigin: Sendable {
    /// What a connection does with one request. An error that a script throws closes the connection and is added to
    /// `failures`.
    public typealias Script = @Sendable (inout OriginConnection) throws -> Void

    /// Maximum number of connections at once. More are a mistake of the test: they are closed.
    public static let connectionLimit = 512

    private let core: OriginCore
    /// The numeric address.
    public let host: String
    /// The port, chosen by the kernel.
    public let port: UInt16

    /// Listens, and answers as `on` says. Any other path gets a 404.
    ///
    /// - Parameters:
    ///   - host: `127.0.0.1`, `127.0.0.2` for another origin, or `::1`.
    ///   - port: 0 for one that the kernel chooses.
    public init(host: String = "127.0.0.1", port: UInt16 = 0) throws {
        core = try OriginCore(host: host, port: port)
        self.host = host
        self.port = try core.port()
        core.start()
    }

    /// Listens, and runs one script for every path.
    public convenience init(host: String = "127.0.0.1", _ script: @escaping Script) throws {
        try self.init(host: host)
        onOther(script)
    }

    deinit { stop() }

    /// Sets the script of a path (without a query), for requests that come later.
    public func on(_ path: String, _ script: @escaping Script) {
        core.state.update { $0.scripts[path] = script }
    }

    /// Sets the script of all paths that have no script.
    public func onOther(_ script: @escaping Script) {
        core.state.update { $0.fallback = script }
    }

    /// `http://address:port` + the path, which begins with a slash.
    public func url(_ path: String = "/") -> String {
        host.contains(":") ? "http://[\(host)]:\(port)\(path)" : "http://\(host):\(port)\(path)"
    }

    /// All requests so far, in the order in which their heads were complete.
    public var requests: [HTTPHead] { core.state.read { $0.requests } }

    /// Connections accepted so far.
    public var connections: Int { core.state.read { $0.connections } }

    /// Connections that are open now.
    public var openConnections: Int { core.state.read { $0.sockets.count } }

    /// Bytes that the kernel accepted from all scripts so far.
    public var bytesSent: Int { core.state.read { $0.bytesSent } }

    /// The errors that scripts have thrown, without those about a peer that has gone.
    public var failures: [String] { core.state.read { $0.failures } }

    /// Waits until this number of requests have come.
    ///
    /// - Throws: `TestFailure` past the deadline.
    public func waitForRequests(_ count: Int, within duration: Duration = Deadline.usual) throws {
        let deadline = Deadline(duration)
        guard core.state.wait(until: deadline, { $0.requests.count >= count }) else {
            throw TestFailure("\(requests.count) requests instead of \(count) within \(deadline.waited)")
        }
    }

    /// Waits until no connection is open.
    ///
    /// - Throws: `TestFailure` past the deadline.
    public func waitUntilIdle(within duration: Duration = Deadline.usual) throws {
        let deadline = Deadline(duration)
        guard core.state.wait(until: deadline, { $0.sockets.isEmpty }) else {
            throw TestFailure("\(openConnections) connections are still open after \(deadline.waited)")
        }
    }

    /// Waits until the kernel has accepted at least this number of bytes.
    ///
    /// - Throws: `TestFailure` past the deadline.
    public func waitForBytes(_ count: Int, within duration: Duration = Deadline.usual) throws {
        let deadline = Deadline(duration)
        guard core.state.wait(until: deadline, { $0.bytesSent >= count }) else {
            throw TestFailure("\(bytesSent) bytes sent instead of \(count) within \(deadline.waited)")
        }
    }

    /// Waits until the scripts are blocked: the kernel accepts no more bytes for `calm`.
    ///
    /// - Returns: how many bytes have been accepted.
    /// - Throws: `TestFailure` where bytes still flow past the deadline.
    public func waitUntilBlocked(
        calm: Duration = .milliseconds(300), within duration: Duration = Deadline.usual
    ) throws -> Int {
        let deadline = Deadline(duration)
        while !deadline.hasPassed {
            let before = bytesSent
            if !core.state.wait(until: Deadline(calm), { $0.bytesSent != before }) { return before }
        }
        throw TestFailure("the origin still sends after \(deadline.waited)")
    }

    /// Closes all connections and the listener, and waits for the threads. May be called twice.
    public func stop() { core.stop() }
}
