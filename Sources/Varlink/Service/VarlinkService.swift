public import EventLoop
public import SystemPackage
public import Unix

/// A Varlink service (varlink.org) on an event loop.
///
/// ## Concurrency model
/// Everything belongs to the loop's thread, handlers included. A handler answers at once or keeps the call and
/// answers later; it never waits.
///
/// ## How the service answers
/// * An unknown interface, method or field, a wrong type, a missing field: the matching error of
///   `org.varlink.service`.
/// * A message that is no method call (not JSON, no `method`, a flag that is no bool, over the limits, or incomplete
///   for too long): `InvalidParameter` that names the field of the envelope, or else `message`; then the connection
///   is closed.
/// * A handler that throws a `VarlinkErrorProtocol`: that error. A handler that throws any other error, or that
///   releases its call without an answer: `internalError`.
/// * Too many connections: `VarlinkLimits.overloadError` or `userOverloadError`, before the client has sent anything;
///   then the connection is closed.
public final class VarlinkService {
    /// What to do with a call: reply, fail, or keep it for later.
    public typealias Handler = (VarlinkCall) throws -> Void

    /// Programming mistakes in how a service is put together.
    public enum RegistrationError: Error, Equatable {
        /// An interface of this name was added before.
        case interfaceExists(String)
        /// No interface that was added declares this method.
        case methodNotDeclared(String)
    }

    /// What `GetInfo` reports.
    public let info: ServiceInfo
    /// The limits for clients.
    public let limits: VarlinkLimits
    /// What a client is told when a handler fails with an error that is no `VarlinkErrorProtocol`:
    /// `io.systemd.System` with EIO, as systemd's own services do. A service should declare an error of its own for
    /// it.
    public var internalError = VarlinkErrorReply(
        "io.systemd.System", parameters: ["origin": "linux", "errnoName": "EIO", "errno": 5])
    /// Called when the service ends a client's connection of its own accord. Meant for the log, which must limit the
    /// rate: clients choose how often this is called.
    public var onClientDropped: ((PeerCredentials, VarlinkDropReason) -> Void)?
    /// Called with the method when a handler has thrown an error that is no `VarlinkErrorProtocol`, or when a reply
    /// could not be encoded.
    public var onHandlerFailure: ((String, any Error) -> Void)?
    /// Called when `accept(2)` has failed. The service accepts again 100 ms later.
    public var onAcceptFailure: ((Errno) -> Void)?
    /// Gets the socket of a connection that has ended and still holds unread data. There may be descriptors among the
    /// data; close(2) closes them too, and that can take as long as their sender likes. Where this is nil the socket
    /// is closed at once.
    public var onUnreadSocket: ((consuming OwnedDescriptor) -> Void)?
    /// Asked before each connection is accepted. Where it returns false, it is asked again 100 ms later.
    public var mayAccept: (() -> Bool)?
    /// Asked about each client that exceeds no limit, before anything is read from it. It must call the closure, at
    /// once or later, on the loop's thread: with nil to admit the client, or with the error for a client that is not
    /// admitted.
    public var admission: ((PeerCredentials, @escaping (VarlinkErrorReply?) -> Void) -> Void)?
    /// Called when much memory that was kept for clients has become free.
    public var onMemoryFreed: (() -> Void)?

    let loop: EventLoop
    let scratch = ScratchBuffer()
    private var registry = InterfaceRegistry()
    private var listeners: [(listener: Listener, isOwn: Bool)] = []
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var connectionsOfUser: [UInt32: Int] = [:]
    /// Bytes of replies that were not read, by user.
    private var unread: UserBudget<Connection>
    /// Bytes of calls that have begun and not ended, by user.
    private var unfinished: UserBudget<Connection>
    /// The most memory that was kept for clients since memory was last given back, in bytes.
    private var peak = 0
    private var turns = UserTurns<Connection>()
    private var turnsAreScheduled = false
    private var turnTime = TurnTime()
    private var looksForRoom = false
    private var lastPlace: UInt64 = 0
    private var lastNumber: UInt64 = 0
    /// Users whose clients are dropped if they read nothing until `flushTimeout`.
    private var watchedUsers: Set<UInt32> = []
    private var refused: [ObjectIdentifier: Connection] = [:]
    private var onClosed: [() -> Void] = []
    private var isClosing = false

    /// How long a connection may keep waiting for room after room has become free.
    private static let lookInterval = Duration.milliseconds(20)
    /// Memory is given back only after this number of bytes was kept for clients, and after the time below.
    private static let worthGivingBack = 4 << 20
    private static let givingBackTime = Duration.seconds(1)
    /// The approximate size of a connection, in bytes.
    private static let bytesOfConnection = 8 << 10

    /// A service with no interface except `org.varlink.service`.
    public init(loop: EventLoop, info: ServiceInfo, limits: VarlinkLimits = VarlinkLimits()) {
        self.loop = loop
        self.info = info
        self.limits = limits
        unread = UserBudget(limit: limits.maximumUnreadReplyBytesPerUser, total: .max, keepsOrder: true)
        unfinished = UserBudget(
            limit: limits.maximumUnfinishedBytesPerUser, total: limits.maximumUnfinishedBytes)
        addServiceInterface()
    }

    // MARK: Interfaces and methods

    /// Adds an interface, for clients to see.
    ///
    /// - Throws: `RegistrationError.interfaceExists`.
    public func add(_ interface: InterfaceDescription) throws(RegistrationError) {
        try registry.add(interface)
    }

    /// Sets the handler of a method. A second call replaces the first handler.
    ///
    /// - Parameters:
    ///   - method: the full name, declared by an interface that was added.
    ///   - handler: what is called for each call of the method.
    /// - Throws: `RegistrationError.methodNotDeclared`.
    public func handle(_ method: String, _ handler: @escaping Handler) throws(RegistrationError) {
        try registry.handle(method, handler)
    }

    /// The declared methods without a handler: calls of them get MethodNotImplemented.
    public var unhandledMethods: [String] { registry.unhandledMethods }

    func declaration(of method: String) -> (interface: InterfaceDescription?, method: VarlinkMethod?) {
        registry.declaration(of: method)
    }

    // MARK: Clients

    /// The number of connections, without refused ones.
    public var connectionCount: Int { connections.count }

    /// Accepts clients from a listening stream socket, and makes it non-blocking. May be called for several sockets.
    ///
    /// - Parameters:
    ///   - socket: a listening stream socket, which the service owns from then on.
    ///   - isOwn: no other process has the socket. When the service closes, it then releases the clients that wait to
    ///     be accepted. Otherwise they wait for the process that has the socket then.
    /// - Throws: the error of `fcntl(2)` or `epoll_ctl(2)`.
    public func listen(on socket: consuming OwnedDescriptor, isOwn: Bool = true) throws(Errno) {
        let listener = try Listener(
            socket, loop: loop, mayAccept: { [unowned self] in mayAccept?() ?? true }
        ) { [unowned self] connection in
            self.admit(connection)
        } onFailure: { [unowned self] errno in
            self.onAcceptFailure?(errno)
        }
        listeners.append((listener, isOwn))
    }

    /// Stops the service. It accepts no more clients, lets pending calls be answered and replies be read, and closes
    /// each connection as soon as it has nothing left to do, or when the time is up.
    ///
    /// The caller should answer the pending calls, or their clients wait for the whole time. May be called again,
    /// with less time.
    ///
    /// - Parameters:
    ///   - time: nil stands for `VarlinkLimits.flushTimeout`.
    ///   - completion: called from the loop when the last connection is closed.
    public func close(within time: Duration? = nil, _ completion: @escaping () -> Void = {}) {
        isClosing = true
        for (listener, isOwn) in listeners {
            if isOwn { listener.close { letGo(of: $0) } } else { listener.close() }
        }
        listeners = []
        onClosed.append(completion)
        for connection in Array(connections.values) + Array(refused.values) {
            connection.close(within: time ?? limits.flushTimeout)
        }
        if connections.isEmpty, refused.isEmpty { loop.after(.zero) { self.callClosed() } }
    }

    private func admit(_ socket: consuming OwnedDescriptor) {
        // The service learns who the peer is before it reads a byte. It drops a peer that the kernel cannot identify.
        guard let peer = try? PeerCredentials(of: socket) else { return letGo(of: socket) }
        let reason = reasonToRefuse(peer)
        let connection = Connection(socket, peer: peer, service: self)
        let id = ObjectIdentifier(connection)
        guard let reason else {
            connections[id] = connection
            connectionsOfUser[peer.userID, default: 0] += 1
            lookAtMemory()
            return connection.begin()
        }
        let error = reason == .tooManyConnections ? limits.overloadError : limits.userOverloadError
        if refused.count < limits.maximumRefused {
            refused[id] = connection
            connection.refuse(with: error)
            connection.begin()
        } else {
            // The connection sends its error, and closes when the last reference to it goes.
            connection.refuseAtOnce(with: error)
        }
        onClientDropped?(peer, reason)
    }

    /// The number of bytes that the kernel may keep for a connection of this user.
    func unreceivedBytes(of user: UInt32) -> Int {
        let share = limits.unreceivedBytesPerUser / max(connectionsOfUser[user, default: 1], 1)
        return min(max(share, limits.unreceivedBytes.lowerBound), limits.unreceivedBytes.upperBound)
    }

    private func reasonToRefuse(_ peer: PeerCredentials) -> VarlinkDropReason? {
        let reserve = peer.userID == 0 ? limits.reservedConnections : 0
        if connections.count >= limits.maximumConnections + reserve { return .tooManyConnections }
        if connectionsOfUser[peer.userID, default: 0] >= limits.maximumConnectionsPerUser {
            return .tooManyConnectionsOfUser
        }
        return nil
    }

    /// The users who have connections.
    public var users: [UInt32] { Array(connectionsOfUser.keys) }

    /// Ends the connections of a user. Connections without a call are told why; pending calls may still be answered
    /// within `VarlinkLimits.flushTimeout`.
    public func expel(_ user: UInt32, with error: VarlinkErrorReply) {
        guard !isClosing else { return }
        for connection in Array(connections.values) where connection.peer.userID == user {
            connection.expel(with: error)
            onClientDropped?(connection.peer, .notAdmitted)
        }
    }

    // MARK: Called by the connections

    func remove(_ connection: Connection) {
        stopsWaiting(connection)
        let id = ObjectIdentifier(connection)
        if connections.removeValue(forKey: id) != nil {
            let left = connectionsOfUser[connection.peer.userID, default: 1] - 1
            connectionsOfUser[connection.peer.userID] = left == 0 ? nil : left
            lookAtMemory()
        } else {
            refused[id] = nil
        }
        if isClosing, connections.isEmpty, refused.isEmpty { loop.after(.zero) { self.callClosed() } }
    }

    /// Whether few enough replies wait for this client's user that the connection may take a call. If not, the
    /// service calls the connection's `resume` when there is room.
    func mayTakeCall(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        if unread.admits(connection) { return true }
        if unread.wait(connection) { watchHeldBack(user) }
        scheduleLook()
        return false
    }

    /// Whether more unread replies may be kept for a client of this user, in a call that has several replies.
    func hasRoomForReplies(of user: UInt32) -> Bool { unread.hasRoom(user) }

    /// Called when the connection takes no more calls.
    func stopsWaiting(_ connection: Connection) {
        unread.forget(connection)
        unfinished.forget(connection)
    }

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    /// The place of the next call among all calls.
    func nextPlace() -> UInt64 {
        lastPlace += 1
        return lastPlace
    }

    func unsentBytesChanged(of user: UInt32, by change: Int) {
        unread.change(user, by: change)
        lookAtMemory()
    }

    /// Whether few enough bytes of unfinished calls are kept for this client's user that the connection may receive
    /// more. If not, and `waits` is true, the service calls the connection's `resume` when there is room.
    func mayReceive(_ connection: Connection, waits: Bool) -> Bool {
        if !waits { return unfinished.hasRoom(connection.peer.userID) }
        if unfinished.admits(connection) { return true }
        _ = unfinished.wait(connection)
        scheduleLook()
        return false
    }

    func unfinishedBytesChanged(of user: UInt32, by change: Int) {
        unfinished.change(user, by: change)
        lookAtMemory()
    }

    /// Has memory given back once little is left of much that was kept for clients.
    private func lookAtMemory() {
        let kept = unfinished.sum + unread.sum + connections.count * Self.bytesOfConnection
        peak = max(peak, kept)
        guard peak >= Self.worthGivingBack, kept < peak / 8 else { return }
        peak = 0
        // Memory that is being freed now must be free by then.
        loop.after(Self.givingBackTime) { [weak self] in self?.onMemoryFreed?() }
    }

    /// Checks at intervals whether there is room, as long as connections wait for it.
    private func scheduleLook() {
        guard !looksForRoom else { return }
        looksForRoom = true
        loop.after(Self.lookInterval) { [weak self] in
            guard let self else { return }
            looksForRoom = false
            for connection in unread.takeReady() + unfinished.takeReady() { connection.resume() }
            if unread.isAwaited() || unfinished.isAwaited() { scheduleLook() }
        }
    }

    /// Closes a client's socket without waiting. A socket with unread data goes to `onUnreadSocket`.
    public func letGo(of socket: consuming OwnedDescriptor) {
        // After this no more data arrives.
        UnixSocket.shutDown(socket)
        guard let onUnreadSocket, SocketMessage.hasUnread(socket) else { return }
        onUnreadSocket(socket)
    }

    /// Drops a user's clients that do not read, so that the user's other connections do not wait without end.
    private func watchHeldBack(_ user: UInt32) {
        guard watchedUsers.insert(user).inserted else { return }
        let begin = ContinuousClock.now
        loop.after(limits.flushTimeout) { [weak self] in
            guard let self else { return }
            watchedUsers.remove(user)
            guard unread.isAwaited(by: user) else { return }
            for connection in connections.values where connection.peer.userID == user {
                connection.drop(idleSince: begin)
            }
            if unread.isAwaited(by: user) { watchHeldBack(user) }
        }
    }

    // MARK: Turns

    /// Whether a connection may go on at once: no connection waits for its turn, and this turn of the loop has only
    /// begun. If not, the service calls the connection's `takeTurn` when it is its turn.
    func mayGoOn(_ connection: Connection) -> Bool {
        if turns.isEmpty, ContinuousClock.now - loop.turnBegan < TurnTime.ofTurn { return true }
        turns.append(connection)
        scheduleTurns()
        return false
    }

    private func scheduleTurns() {
        guard !turnsAreScheduled else { return }
        turnsAreScheduled = true
        loop.after(.zero) { [weak self] in self?.runTurns() }
    }

    private func runTurns() {
        turnsAreScheduled = false
        turnTime.begin()
        let begin = ContinuousClock.now
        while turnTime.allows(after: ContinuousClock.now - begin), let connection = turns.next() {
            connection.takeTurn()
        }
        turnTime.end(after: ContinuousClock.now - begin, isLineEmpty: turns.isEmpty)
        if !turns.isEmpty { scheduleTurns() }
    }

    private func callClosed() {
        let completions = onClosed
        onClosed = []
        for completion in completions { completion() }
    }

    func handle(_ call: VarlinkCall) {
        // The message is no longer needed, and the call may be kept for long.
        defer { call.forgetMessage() }
        do {
            try registry.handler(for: call.method)(call)
        } catch let error as any VarlinkErrorProtocol {
            call.fail(error)
        } catch {
            onHandlerFailure?(call.method, error)
            call.fail(internalError)
        }
    }

    func description(of interface: String) -> String? { registry.text(of: interface) }

    var interfaceNames: [String] { registry.names }
}

/// The buffer for received bytes before they go to their connection's decoder. All connections share it, since the
/// loop has one thread.
final class ScratchBuffer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    deinit {
        buffer.deallocate()
    }
}
