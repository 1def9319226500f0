internal import Glibc
internal import SystemPackage
public import Unix

/// A connection to a Varlink service for programs that may block: every function blocks until it has its answer or
/// its deadline has passed.
///
/// Not thread-safe: it belongs to the thread that made it. After any error but `.error` the connection cannot be used
/// any more.
public final class VarlinkClient {
    /// What a call asks for.
    public enum Mode: Sendable {
        /// One reply.
        case single
        /// Several replies, up to the first one that does not continue.
        case more
        /// No reply.
        case oneway
        /// One reply, after which the connection speaks another protocol; see `VarlinkClient.upgrade`.
        case upgrade
    }

    /// Maximum size of a reply, in bytes without its NUL.
    public static let maximumMessageSize = 64 << 20

    /// Its number is -1 once the connection was upgraded.
    private var socket: OwnedDescriptor
    private var decoder = MessageDecoder(
        maximumMessageSize: VarlinkClient.maximumMessageSize,
        maximumDescriptors: SocketMessage.maximumDescriptors)
    private let scratch = ScratchBuffer()

    /// Connects.
    ///
    /// - Parameter path: the path of the socket; a path that begins with `@` is an abstract name.
    /// - Throws: `VarlinkClientError.cannotConnect`. Waits while the service's backlog is full.
    public init(connectedTo path: String) throws(VarlinkClientError) {
        do {
            socket = try UnixSocket.connect(path: path)
        } catch {
            throw .cannotConnect(path: path, error)
        }
    }

    /// Uses a stream socket that is already connected, blocking or not.
    public init(adopting socket: consuming OwnedDescriptor) {
        self.socket = socket
    }

    /// For `poll(2)`, beside other descriptors: readable means that `receiveIfAvailable` may return a reply. It may
    /// return one when the descriptor is not readable, too, so call it until it returns nil before each poll.
    public var rawDescriptor: CInt { socket.rawValue }

    // MARK: One reply

    /// Calls a method and waits for its reply.
    ///
    /// - Parameters:
    ///   - method: the full name: `org.example.interface.Method`.
    ///   - parameters: must encode as a JSON object.
    ///   - type: the type of the reply's parameters.
    ///   - descriptors: sent along; they stay the caller's. A field of `parameters` has the index of each.
    ///   - milliseconds: the time limit for the whole exchange; nil for none.
    /// - Throws: `VarlinkClientError`.
    public func call<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), as type: Reply.Type,
        descriptors: [CInt] = [], deadline milliseconds: Int? = nil
    ) throws(VarlinkClientError) -> Reply {
        try callWithDescriptors(method, parameters, descriptors: descriptors, deadline: milliseconds)
            .decode(as: type)
    }

    /// The same for a reply that carries descriptors.
    public func callWithDescriptors(
        _ method: String, _ parameters: some Encodable = NoParameters(), descriptors: [CInt] = [],
        deadline milliseconds: Int? = nil
    ) throws(VarlinkClientError) -> VarlinkReply {
        let deadline = Deadline(milliseconds)
        try send(method, parameters, mode: .single, descriptors: descriptors, until: deadline)
        return try receive(until: deadline)
    }

    // MARK: Streams and pipelined calls

    /// Sends a call and does not wait for its reply. Replies come in the order of the calls.
    ///
    /// - Parameters: as in `call`.
    /// - Throws: `VarlinkClientError`; also `.error` where the service has sent an error and closed the connection,
    ///   as it does when it has too many connections.
    public func send(
        _ method: String, _ parameters: some Encodable = NoParameters(), mode: Mode,
        descriptors: [CInt] = [], deadline milliseconds: Int? = nil
    ) throws(VarlinkClientError) {
        try send(method, parameters, mode: mode, descriptors: descriptors, until: Deadline(milliseconds))
    }

    /// Waits for the next reply.
    ///
    /// - Throws: `VarlinkClientError`; `.error` is the last reply to its call.
    public func next(deadline milliseconds: Int? = nil) throws(VarlinkClientError) -> VarlinkReply {
        try receive(until: Deadline(milliseconds))
    }

    /// The next reply, if it has already arrived; nil otherwise.
    ///
    /// - Throws: `VarlinkClientError`; `.disconnected` where the service has closed the connection.
    public func receiveIfAvailable() throws(VarlinkClientError) -> VarlinkReply? {
        while true {
            if let message = try nextMessage() { return try reply(from: message) }
            guard try receiveOnce() else { return nil }
        }
    }

    // MARK: Another protocol

    /// Calls a method with `upgrade` and takes the connection out of the client, which cannot be used after that.
    ///
    /// - Throws: `VarlinkClientError`.
    public func upgrade<Reply: Decodable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), as type: Reply.Type,
        deadline milliseconds: Int? = nil
    ) throws(VarlinkClientError) -> UpgradedConnection<Reply> {
        let deadline = Deadline(milliseconds)
        try send(method, parameters, mode: .upgrade, descriptors: [], until: deadline)
        let reply = try receive(until: deadline).decode(as: type)
        var taken = OwnedDescriptor(adopting: -1)
        swap(&taken, &socket)
        return UpgradedConnection(reply: reply, received: decoder.takeRest(), socket: taken)
    }

    // MARK: Sending and receiving

    private func send(
        _ method: String, _ parameters: some Encodable, mode: Mode, descriptors: [CInt],
        until deadline: Deadline
    ) throws(VarlinkClientError) {
        var envelope = CallEnvelope(method: method, parameters: parameters)
        switch mode {
        case .single: break
        case .more: envelope.more = true
        case .oneway: envelope.oneway = true
        case .upgrade: envelope.upgrade = true
        }
        let bytes: [UInt8]
        do {
            bytes = try MessageCoding.message(envelope)
        } catch {
            throw .invalidParameters("\(error)")
        }
        if !descriptors.isEmpty { try waitUntilReceived(deadline) }
        var sent = 0
        while sent < bytes.count {
            do {
                sent += try socket.send(bytes[sent...], sent == 0 ? descriptors : [])
            } catch .wouldBlock {
                try wait(for: Int16(POLLOUT), until: deadline)
            } catch .brokenPipe {
                // The service may have sent the reason before it closed.
                _ = try receive(until: deadline)
                throw .disconnected
            } catch {
                throw .system(error)
            }
        }
    }

    /// Waits until the service has received all earlier calls: if one `recvmsg` returned them together with a call that
    /// carries descriptors, the service could not tell to which call the descriptors belong.
    private func waitUntilReceived(_ deadline: Deadline) throws(VarlinkClientError) {
        do {
            while try !SocketMessage.isReceivedByPeer(socket) {
                if deadline.hasPassed { throw VarlinkClientError.timedOut }
                // The kernel reports no event for it. When the connection ends, nothing is left unreceived.
                poll(nil, 0, 1)
            }
        } catch let error as Errno {
            throw .system(error)
        } catch {
            throw .timedOut
        }
    }

    private func receive(until deadline: Deadline) throws(VarlinkClientError) -> VarlinkReply {
        while true {
            if let reply = try receiveIfAvailable() { return reply }
            try wait(for: Int16(POLLIN), until: deadline)
        }
    }

    private func nextMessage() throws(VarlinkClientError) -> IncomingMessage? {
        do {
            return try decoder.next()
        } catch {
            throw .protocolViolation("a reply is longer than \(Self.maximumMessageSize) bytes")
        }
    }

    /// - Returns: whether bytes came.
    private func receiveOnce() throws(VarlinkClientError) -> Bool {
        var message: ReceivedMessage
        do {
            message = try SocketMessage.receive(into: scratch.buffer, from: socket, dontWait: true)
        } catch .wouldBlock {
            return false
        } catch .connectionReset {
            throw .disconnected
        } catch {
            throw .system(error)
        }
        guard message.count > 0 else { throw .disconnected }
        guard !message.isTruncated else { throw .protocolViolation("descriptors were lost") }
        var descriptors = ReceivedDescriptors()
        swap(&descriptors, &message.descriptors)
        do {
            try decoder.append(
                UnsafeRawBufferPointer(rebasing: scratch.buffer[..<message.count]), descriptors: descriptors)
        } catch {
            throw .protocolViolation("a reply came with too many descriptors")
        }
        return true
    }

    private func reply(from message: IncomingMessage) throws(VarlinkClientError) -> VarlinkReply {
        do {
            try MessageScan.check(message.bytes)
            let head = try MessageCoding.decode(ReplyHead.self, from: message.bytes)
            guard let name = head.error else {
                return VarlinkReply(message, continues: head.continues ?? false)
            }
            let parameters = try MessageCoding.decode(ParametersEnvelope<JSONValue>.self, from: message.bytes)
                .parameters
            throw VarlinkClientError.error(name: name, parameters: parameters)
        } catch let error as VarlinkClientError {
            throw error
        } catch {
            throw .protocolViolation("a message is no reply")
        }
    }

    private func wait(for events: Int16, until deadline: Deadline) throws(VarlinkClientError) {
        var entry = pollfd(fd: socket.rawValue, events: events, revents: 0)
        while true {
            let ready = poll(&entry, 1, deadline.remainingMilliseconds)
            if ready > 0 { return }
            if ready == 0 {
                if deadline.hasPassed { throw .timedOut }
            } else if errno != EINTR {
                throw .system(Errno(rawValue: errno))
            }
        }
    }
}

/// A moment on the monotonic clock, or never.
private struct Deadline {
    private let instant: ContinuousClock.Instant?

    init(_ milliseconds: Int?) {
        instant = milliseconds.map { .now + .milliseconds($0) }
    }

    var hasPassed: Bool { instant.map { $0 <= .now } ?? false }

    /// For `poll(2)`: rounded up, -1 for never.
    var remainingMilliseconds: CInt {
        guard let instant else { return -1 }
        return ContinuousClock.now.duration(to: instant).wholeMilliseconds
    }
}
