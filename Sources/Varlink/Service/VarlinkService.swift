public import EventLoop
public import SystemPackage
public import UnixSockets

/// A Varlink service (varlink.org) on an event loop.
///
/// ## Concurrency model
/// All of it belongs to the loop's thread, handlers included. A handler answers at once or keeps the call and
/// answers later; it never waits.
///
/// ## What is answered how
/// * An unknown interface, method or field, a wrong type, a missing field: the matching error of
///   `org.varlink.service`.
/// * What is no method call (no JSON, no `method`, a flag that is no bool, a message over the limits, half a message for
///   too long): `InvalidParameter` that names the envelope's field or else `message`, then the connection is closed.
/// * A handler that throws a `VarlinkErrorProtocol`: that error; one that throws anything else, or that lets go of its
///   call without an answer: `internalError`.
/// * Too many connections: `VarlinkLimits.overloadError` or `userOverloadError`, before the client has said anything, then
///   the connection is closed.
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

    /// What `GetInfo` tells.
    public let info: ServiceInfo
    /// What clients may use.
    public let limits: VarlinkLimits
    /// What a client is told when a handler fails in a way that has no name: `io.systemd.System` with EIO, as
    /// systemd's own services do it. A service does well to have an error of its own for it.
    public var internalError = VarlinkErrorReply(
        "io.systemd.System", parameters: ["origin": "linux", "errnoName": "EIO", "errno": 5])
    /// Called when the service ends a client's connection of its own accord. For the log, which has to limit the
    /// rate: clients choose how often this is called.
    public var onClientDropped: ((PeerCredentials, VarlinkDropReason) -> Void)?
    /// Called when a handler has thrown what is no `VarlinkErrorProtocol`, with the method, or when a reply could
    /// not be encoded.
    public var onHandlerFailure: ((String, any Error) -> Void)?
    /// Called when `accept(2)` has failed; accepting goes on 100 ms later.
    public var onAcceptFailure: ((Errno) -> Void)?
    /// Gets the socket of a connection that has ended, and that holds something unread. With that may be descriptors, which
    /// close(2) closes too, and so can take as long as their sender likes. Without it the socket is closed at once.
    public var onUnreadSocket: ((consuming OwnedDescriptor) -> Void)?
    /// Asked before each connection is accepted; where the answer is no it is asked again 100 ms later.
    public var mayAccept: (() -> Bool)?
    /// Asked about each client that is not one too many, before anything is read from it: calls the closure, at once or
    /// later, on the loop's thread, with the error for a client that is not admitted, and nil for one that is.
    public var admission: ((PeerCredentials, @escaping (VarlinkErrorReply?) -> Void) -> Void)?
    /// Called when the memory of many calls that had begun has become free.
    public var onMemoryFreed: (() -> Void)?

    let loop: EventLoop
    let scratch = ScratchBuffer()
    private var interfaces: [String: InterfaceDescription] = [:]
    private var handlers: [String: Handler] = [:]
    private var listeners: [(listener: Listener, isOwn: Bool)] = []
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var connectionsOfUser: [UInt32: Int] = [:]
    /// Replies that were not read.
    private var unread: UserBudget<Connection>
    /// Calls that have begun and not ended.
    private var unfinished: UserBudget<Connection>
    /// The most that was unfinished since memory was given back.
    private var peak = 0
    private var turns = UserTurns<Connection>()
    private var turnsAreScheduled = false
    /// What clients may take in this turn of the loop; less than nothing where a step has taken longer than that.
    private var timeLeft = Duration.zero
    private var looksForRoom = false
    private var lastPlace: UInt64 = 0
    private var lastNumber: UInt64 = 0
    /// Users of whom it is watched whether they read.
    private var watchedUsers: Set<UInt32> = []
    private var refused: [ObjectIdentifier: Connection] = [:]
    private var onClosed: [() -> Void] = []
    private var isClosing = false

    /// How long clients may take in one turn of the loop, while some wait. A longer step is made up for in the next turns: the
    /// loop does its other work, which others wait for, and has turns without end where there is none.
    private static let timeForClients = Duration.milliseconds(2)
    /// How long connections that wait for room may wait although there is some.
    private static let lookInterval = Duration.milliseconds(20)
    /// So much has to have been kept for clients, in bytes, before its memory is worth giving back, and so long after.
    private static let worthGivingBack = 4 << 20
    private static let givingBackTime = Duration.seconds(1)
    /// About what a connection takes, in bytes.
    private static let bytesOfConnection = 8 << 10

    /// A service without interfaces but `org.varlink.service`.
    public init(loop: EventLoop, info: ServiceInfo, limits: VarlinkLimits = VarlinkLimits()) {
        self.loop = loop
        self.info = info
        self.limits = limits
        unread = UserBudget(limit: limits.maximumUnreadReplyBytesPerUser, total: .max, keepsOrder: true)
        unfinished = UserBudget(
            limit: limits.maximumUnfinishedBytesPerUser, total: limits.maximumUnfinishedBytes)
        addServiceInterface()
    }

    // MARK: What it serves

    /// Adds an interface, for clients to see.
    ///
    /// - Throws: `RegistrationError.interfaceExists`.
    public func add(_ interface: InterfaceDescription) throws(RegistrationError) {
        guard interfaces[interface.name] == nil else { throw .interfaceExists(interface.name) }
        interfaces[interface.name] = interface
    }

    /// Says what answers a method; a second time replaces the first.
    ///
    /// - Parameter method: the full name, declared by an interface that was added.
    /// - Throws: `RegistrationError.methodNotDeclared`.
    public func handle(_ method: String, _ handler: @escaping Handler) throws(RegistrationError) {
        guard declaration(of: method).method != nil else { throw .methodNotDeclared(method) }
        handlers[method] = handler
    }

    /// The declared methods that nothing handles: calls of them get MethodNotImplemented.
    public var unhandledMethods: [String] {
        interfaces.values.flatMap { interface in interface.methods.keys.map { "\(interface.name).\($0)" } }
            .filter { handlers[$0] == nil }.sorted()
    }

    func declaration(of method: String) -> (interface: InterfaceDescription?, method: VarlinkMethod?) {
        guard Self.isName(method), let dot = method.lastIndex(of: ".") else { return (nil, nil) }
        let interface = interfaces[String(method[..<dot])]
        return (interface, interface?.methods[String(method[method.index(after: dot)...])])
    }

    // MARK: Clients

    /// The connections at hand, refused ones left out.
    public var connectionCount: Int { connections.count }

    /// Accepts clients from a listening stream socket, which is made non-blocking. May be called for several.
    ///
    /// - Parameter isOwn: nobody else has the socket, so that those who wait at it when the service closes are let go of. Else
    ///   they wait for whoever has it then.
    /// - Throws: what `fcntl(2)` or `epoll_ctl(2)` says about the socket.
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

    /// Stops: accepts nobody any more, lets pending calls be answered and replies be read, and closes each connection as
    /// soon as it has nothing left to do, or else when the time is up.
    ///
    /// Answer the calls that are pending, or their clients wait that long. May be called again, with less time.
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
        // Who it is comes before a byte is read; somebody of whom the kernel cannot say it is nobody to talk to.
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
            // It is sent its error, and closed as the last reference to it goes.
            connection.refuseAtOnce(with: error)
        }
        onClientDropped?(peer, reason)
    }

    /// How much the kernel may keep of what is sent to a user's connection, in bytes.
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

    /// Ends the connections of a user: those without a call are told why; calls that are pending may still be answered, for
    /// `VarlinkLimits.flushTimeout`.
    public func expel(_ user: UInt32, with error: VarlinkErrorReply) {
        guard !isClosing else { return }
        for connection in Array(connections.values) where connection.peer.userID == user {
            connection.expel(with: error)
            onClientDropped?(connection.peer, .notAdmitted)
        }
    }

    // MARK: From the connections

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

    /// Whether so little waits to be read by this client's user that it may have more; if not, the connection is told to
    /// `resume` when it is so.
    func mayTakeCall(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        if unread.admits(connection) { return true }
        if unread.wait(connection) { watchHeldBack(user) }
        scheduleLook()
        return false
    }

    /// Whether a client may be kept more unread replies of a call that goes on by itself.
    func hasRoomForReplies(of user: UInt32) -> Bool { unread.hasRoom(user) }

    /// The connection takes no call any more.
    func stopsWaiting(_ connection: Connection) {
        unread.forget(connection)
        unfinished.forget(connection)
    }

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    /// The place of a call among all.
    func nextPlace() -> UInt64 {
        lastPlace += 1
        return lastPlace
    }

    func unsentBytesChanged(of user: UInt32, by change: Int) {
        unread.change(user, by: change)
        lookAtMemory()
    }

    /// Whether so little of this client's user has begun that more may be received; if not, a connection that waits is told
    /// to `resume` when it is so.
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

    /// Has memory given back after there was much to be kept for clients.
    private func lookAtMemory() {
        let kept = unfinished.sum + unread.sum + connections.count * Self.bytesOfConnection
        peak = max(peak, kept)
        guard peak >= Self.worthGivingBack, kept < peak / 8 else { return }
        peak = 0
        // What is about to be freed has to be free by then.
        loop.after(Self.givingBackTime) { [weak self] in self?.onMemoryFreed?() }
    }

    /// While connections wait for room, looks now and then whether there is some.
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

    /// Closes a client's socket without waiting: one that holds something unread goes to `onUnreadSocket`.
    public func letGo(of socket: consuming OwnedDescriptor) {
        // From here on nothing more comes.
        UnixSocket.shutDown(socket)
        guard let onUnreadSocket, SocketMessage.hasUnread(socket) else { return }
        onUnreadSocket(socket)
    }

    /// Nobody waits for ever for others who do not read.
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

    /// Whether a connection may go on at once: where nothing waits for its turn, and this turn of the loop is young. If not,
    /// the connection is told `takeTurn` when it has one.
    func mayGoOn(_ connection: Connection) -> Bool {
        if turns.isEmpty, ContinuousClock.now - loop.turnBegan < Self.timeForClients { return true }
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
        timeLeft = min(timeLeft, .zero) + Self.timeForClients
        let begin = ContinuousClock.now
        while timeLeft > ContinuousClock.now - begin, let connection = turns.next() { connection.takeTurn() }
        timeLeft -= ContinuousClock.now - begin
        if !turns.isEmpty { scheduleTurns() }
    }

    private func callClosed() {
        let completions = onClosed
        onClosed = []
        for completion in completions { completion() }
    }

    func handle(_ call: VarlinkCall) {
        // What was sent is needed no more, and the call may be kept for long.
        defer { call.forgetMessage() }
        do {
            try handler(for: call.method)(call)
        } catch let error as any VarlinkErrorProtocol {
            call.fail(error)
        } catch {
            onHandlerFailure?(call.method, error)
            call.fail(internalError)
        }
    }

    /// How long the name of a method may be, in bytes. To look up a text costs more than to see that it is too long.
    private static let maximumNameLength = 255

    static func isName(_ text: String) -> Bool {
        text.utf8.count <= maximumNameLength && text.utf8.allSatisfy { $0 < 0x80 }
    }

    private func handler(for method: String) throws(VarlinkServiceError) -> Handler {
        guard Self.isName(method) else { throw .invalidParameter("method") }
        if let handler = handlers[method] { return handler }
        guard let dot = method.lastIndex(of: ".") else { throw .invalidParameter("method") }
        let (interface, declared) = declaration(of: method)
        guard interface != nil else { throw .interfaceNotFound(String(method[..<dot])) }
        throw declared == nil ? .methodNotFound(method) : .methodNotImplemented(method)
    }

    func description(of interface: String) -> String? {
        Self.isName(interface) ? interfaces[interface]?.text : nil
    }

    var interfaceNames: [String] { interfaces.keys.sorted() }
}

/// Where bytes are received before they go to their connection's decoder; one for all, since the loop has one thread.
final class ScratchBuffer {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

    deinit {
        buffer.deallocate()
    }
}
