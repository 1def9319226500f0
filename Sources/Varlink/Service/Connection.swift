internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import Unix

/// One client's connection: reads calls one at a time, writes replies, ends.
///
/// While a call is unanswered, or its reply unread, nothing is read, so that what a client sends ahead waits in its own
/// socket buffer; epoll reports a client that is gone all the same (EPOLLHUP needs no asking).
///
/// Code of the service's owner (handlers, `onDisconnect`, `onClientDropped`) runs from `advance` alone, which runs
/// from the loop alone; what is called by that code (`send`, `finish`, `upgrade`, `close`) changes the state and
/// leaves the rest to the next `advance`. So nothing here is entered twice.
final class Connection: UserConnection {
    private struct Upgrade {
        let call: VarlinkCall
        let handler: (consuming OwnedDescriptor, [UInt8]) -> Void
    }

    let peer: PeerCredentials
    var userID: UInt32 { peer.userID }
    /// Among all of the service; no later one has the same.
    let number: UInt64
    private let service: VarlinkService
    /// The number is -1 after the end.
    private var socket: OwnedDescriptor
    private var watch: Watch?
    private var state = ConnectionState<Upgrade>()
    private var reception: CallReception
    private var output = ReplyOutput()
    /// The unanswered call. Weak, so that a call that is forgotten is noticed.
    private weak var call: VarlinkCall?
    /// The call of a connection that has failed, so that it lives to be told.
    private var keptCall: VarlinkCall?
    private(set) var place: UInt64 = 0
    /// What the loop has reported and was not answered.
    private var events: Readiness = []
    private var isInLine = false
    private var hasTurn = false
    private var isAdvancing = false
    private var isAdvanceScheduled = false
    /// Ends a call that does not become whole.
    private var messageTimer: Timer?
    /// Ends a connection whose client does not read its last replies.
    private var flushTimer: Timer?
    private var receptionTimer: Timer?

    /// What is received where the user has no more room, in bytes: enough for a small call.
    private static let smallPiece = 4096

    /// What one connection may leave unread whatever its user's others do, in bytes.
    private static let unreadInAnyCase = 256 << 10

    /// Nothing happens before `begin`.
    init(_ socket: consuming OwnedDescriptor, peer: PeerCredentials, service: VarlinkService) {
        self.socket = socket
        self.peer = peer
        self.service = service
        number = service.nextNumber()
        reception = CallReception(service.limits)
    }

    /// Turns to the client, at once or when it is its turn.
    func begin() {
        // A refused client may have gone before it could be told why.
        guard state.maySend else { return }
        if isItsTurn() { takeTurn() } else { state.startWaiting(for: .turn) }
    }

    /// Asks whether the client is admitted, and begins to listen to it.
    private func start() {
        SocketMessage.limitUnreceived(service.unreceivedBytes(of: peer.userID), of: socket)
        // Mostly answered at once, and then it costs nothing to have asked.
        if state.isReading, let admission = service.admission {
            state.startWaiting(for: .admission)
            admission(peer) { [weak self] in self?.isAdmitted(unless: $0) }
        }
        do throws(Errno) {
            watch = try service.loop.watch(socket, for: []) { self.handle($0) }
            updateWatch()
        } catch {
            // The user of the service has too many watches.
            service.onAcceptFailure?(error)
            fail(nil)
        }
    }

    /// The client may say what it wants, unless there is an error for it.
    private func isAdmitted(unless error: VarlinkErrorReply?) {
        // It may have gone meanwhile.
        guard state.wait == .admission else { return }
        if let error {
            refuse(with: error)
            service.onClientDropped?(peer, .notAdmitted)
        } else {
            state.stopWaiting(for: .admission)
            updateWatch()
        }
    }

    var unsentBytes: Int { output.unsentBytes }

    // MARK: From the calls and the service

    /// - Parameter continues: another reply to the same call follows.
    func send(_ bytes: [UInt8], descriptors: PushedDescriptors? = nil, continues: Bool = false) {
        guard state.maySend else { return }
        if output.append(bytes, descriptors: descriptors) { flush() }
        reportUnsent()
        // A call with many replies, such as Watch, was admitted when there was room. Its later replies are not held back.
        let isTooMuch =
            continues && unsentBytes > Self.unreadInAnyCase
            && !service.hasRoomForReplies(of: peer.userID)
        if isTooMuch || unsentBytes > service.limits.maximumUnreadReplyBytes { fail(.unreadReplies) }
    }

    func finish(with bytes: [UInt8], descriptors: PushedDescriptors? = nil) {
        guard state.callEnds() else { return }
        // First, so that nothing is read before it is seen whether there is a call already.
        scheduleAdvance()
        send(bytes, descriptors: descriptors)
    }

    func finish(with error: some VarlinkErrorProtocol) {
        finish(with: MessageCoding.message(error: error))
    }

    func upgrade(
        with bytes: [UInt8], descriptors: PushedDescriptors?, call: VarlinkCall,
        _ handler: @escaping (consuming OwnedDescriptor, [UInt8]) -> Void
    ) {
        guard state.upgrades(Upgrade(call: call, handler: handler)) else { return }
        send(bytes, descriptors: descriptors)
        scheduleAdvance()
    }

    /// Lets the pending call be answered and the replies be read, for this long, and ends.
    func close(within time: Duration) {
        state.close()
        startFlushTimer(time)
        scheduleAdvance()
    }

    /// Ends the conversation: tells a client that has no call why, and lets a call that is pending be answered, for as long
    /// as replies may wait.
    func expel(with error: some VarlinkErrorProtocol) {
        if state.isReading {
            refuse(with: error)
        } else if state.isCalling {
            close(within: service.limits.flushTimeout)
        }
    }

    /// Tells the client why there will be no conversation, and ends once it has seen it.
    func refuse(with error: some VarlinkErrorProtocol) {
        guard state.isReading else { return }
        state.linger()
        startFlushTimer(service.limits.flushTimeout)
        send(MessageCoding.message(error: error))
        scheduleAdvance()
    }

    /// The same with a single try, for a connection that was never started: it ends with its last reference.
    func refuseAtOnce(with error: some VarlinkErrorProtocol) {
        var queue = ReplyQueue()
        queue.append(MessageCoding.message(error: error), descriptors: nil)
        _ = queue.send(to: socket)
        abandon()
    }

    /// Ends a connection that was never started.
    func abandon() {
        state.end()
        closeSocket()
    }

    private func closeSocket() {
        var closed = OwnedDescriptor(adopting: -1)
        swap(&closed, &socket)
        service.letGo(of: closed)
    }

    // MARK: From the loop

    private func handle(_ readiness: Readiness) {
        events.formUnion(readiness)
        if isItsTurn() { takeTurn() }
    }

    /// Whether it may go on now; if not, it is told to take its turn.
    private func isItsTurn() -> Bool {
        guard !isInLine else { return false }
        if service.mayGoOn(self) { return true }
        isInLine = true
        updateWatch()
        return false
    }

    /// Answers what the loop has reported, and carries out a call that waits for that.
    func takeTurn() {
        isInLine = false
        if state.hasEnded { return }
        hasTurn = true
        respond(to: events)
        events = []
        state.stopWaiting(for: .turn)
        if watch == nil { start() }
        advance()
        hasTurn = false
    }

    private func respond(to readiness: Readiness) {
        if readiness.contains(.writable) { flush() }
        switch state.heard(readiness) {
        case .nothing: break
        case .receive: receive()
        case .discard: discard()
        case .fail: fail(nil)
        }
    }

    private func receive() {
        // One whose call is not whole waits; a small one gets through.
        guard reception.isEmpty || service.mayReceive(self, waits: true) else {
            return state.startWaiting(for: .room)
        }
        let isCramped = reception.isEmpty && !service.mayReceive(self, waits: false)
        let scratch = service.scratch.buffer
        let buffer = UnsafeMutableRawBufferPointer(
            rebasing: scratch.prefix(isCramped ? Self.smallPiece : scratch.count))
        switch reception.receive(from: socket, through: buffer) {
        case .received: break
        case .finished: state.peerFinishes()
        case .unreceivable: reject(.tooManyDescriptors)
        case .failed: fail(nil)
        }
        reportUnfinished()
    }

    /// Drops what a client still sends after its last reply: until it closes, or for as long as the timer says.
    private func discard() {
        switch CallReception.discard(from: socket, through: service.scratch.buffer) {
        case .received: break
        // It may go on sending; but the answer is sent, and what has descriptors is not for this process to look at.
        case .finished, .unreceivable: state.peerFinishes()
        case .failed: fail(nil)
        }
    }

    /// Does what the state asks for.
    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        process()
        switch state.step(hasUnsent: !output.isEmpty) {
        case .nothing: break
        // The end of the stream tells a client that waits for more than the error that there is none.
        case .finishSending: shutdown(socket.rawValue, CInt(SHUT_WR))
        case .handOver(let upgrade): handOver(upgrade)
        case .end(let reason): end(reason)
        }
        isAdvancing = false
        if !state.isReading { service.stopsWaiting(self) }
        updateWatch()
    }

    private func scheduleAdvance() {
        guard !isAdvancing, !isAdvanceScheduled else { return }
        isAdvanceScheduled = true
        service.loop.after(.zero) {
            self.isAdvanceScheduled = false
            self.advance()
        }
    }

    private func process() {
        do {
            state.stopWaiting(for: .replies)
            while state.mayTakeCalls {
                if try reception.findNext() { place = service.nextPlace() }
                guard let message = reception.next else { break }
                stopMessageTimer()
                guard mayTakeCall() else {
                    state.startWaiting(for: .replies)
                    break
                }
                guard hasTurn || isItsTurn() else {
                    state.startWaiting(for: .turn)
                    break
                }
                hasTurn = false
                reception.forgetNext()
                dispatch(message)
            }
        } catch {
            reject(error == .messageTooLarge ? .messageTooLarge : .tooManyDescriptors)
        }
        reportUnfinished()
        switch state.awaitNextCall(hasPart: !reception.isEmpty) {
        case .nothing: break
        case .close: startFlushTimer(service.limits.flushTimeout)
        case .awaitCall: stopMessageTimer()
        case .awaitRest: startMessageTimer()
        }
    }

    private func startMessageTimer() {
        guard messageTimer == nil else { return }
        messageTimer = service.loop.after(service.limits.messageTimeout) {
            self.messageTimer = nil
            // The rest may be there: it is looked at when it is the connection's turn.
            if self.isInLine { return }
            if self.state.isReading { self.reject(.unfinishedMessage) }
            self.advance()
        }
    }

    private func stopMessageTimer() {
        messageTimer?.cancel()
        messageTimer = nil
    }

    /// Whether replies have been read so far that there may be more.
    private func mayTakeCall() -> Bool {
        guard output.isEmpty else { return false }
        guard output.isCaughtUp(with: socket) else {
            lookAgain()
            return false
        }
        return service.mayTakeCall(self)
    }

    /// Goes on, after `VarlinkService.mayTakeCall` or `mayReceive` had held it back.
    func resume() {
        state.stopWaiting(for: .room)
        scheduleAdvance()
    }

    /// Drops a client that has read nothing of what waits for it since then.
    func drop(idleSince moment: ContinuousClock.Instant) {
        guard !output.isEmpty, output.lastProgress < moment else { return }
        // The socket may have room by now, and the connection wait for its turn.
        flush()
        guard output.lastProgress < moment else { return }
        fail(.unreadReplies)
    }

    private func dispatch(_ message: IncomingMessage) {
        let head: CallHead
        do throws(CallHead.Fault) {
            head = try CallHead.read(message.bytes, maximumValues: service.limits.maximumValuesPerMessage)
        } catch {
            return reject(error.reason)
        }
        guard state.callBegins(awaitsReply: !(head.oneway ?? false)) else { return fail(nil) }
        let call = VarlinkCall(head: head, message: message, connection: self, service: service)
        if !call.isOneway { self.call = call }
        service.handle(call)
    }

    /// Answers what is no proper call with InvalidParameter, and closes: what follows cannot be trusted to be one.
    private func reject(_ reason: VarlinkDropReason) {
        stopMessageTimer()
        _ = reception.takeRest()
        state.linger()
        startFlushTimer(service.limits.flushTimeout)
        let parameter =
            switch reason {
            case .malformedMessage(let field?), .unsafeText(let field?): field
            default: "message"
            }
        send(MessageCoding.message(error: VarlinkServiceError.invalidParameter(parameter)))
        service.onClientDropped?(peer, reason)
    }

    // MARK: Sending

    private func flush() {
        receptionTimer?.cancel()
        let progress = output.send(to: socket)
        reportUnsent()
        switch progress {
        case .drained, .socketIsFull: break
        case .mustBeReceived: lookAgain()
        case .failed: fail(nil)
        }
        // `updateWatch` comes with the next `advance`, but a reply to another connection's event has none at hand.
        updateWatch()
    }

    private func lookAgain() {
        receptionTimer?.cancel()
        receptionTimer = service.loop.after(output.nextDelay()) {
            self.flush()
            self.advance()
        }
    }

    private func reportUnsent() {
        let change = output.changeOfUnsent()
        guard change != 0 else { return }
        service.unsentBytesChanged(of: peer.userID, by: change)
    }

    private func reportUnfinished() {
        let change = reception.changeOfBytes()
        guard change != 0 else { return }
        service.unfinishedBytesChanged(of: peer.userID, by: change)
    }

    private func startFlushTimer(_ time: Duration) {
        flushTimer?.cancel()
        flushTimer = service.loop.after(time) {
            if self.state.hasEnded { return }
            // The socket may have room by now, and the connection wait for its turn.
            if !self.output.isEmpty { self.flush() }
            self.fail(self.output.isEmpty ? nil : .unreadAtClose)
            self.advance()
        }
    }

    // MARK: The end

    private func fail(_ reason: VarlinkDropReason?) {
        // Held here, since with the phase goes what may be the last reference to the call.
        let last = if case .upgrading(let upgrade) = state.phase { upgrade.call } else { call }
        guard state.fail(reason) else { return }
        keptCall = last
        scheduleAdvance()
    }

    private func end(_ reason: VarlinkDropReason?) {
        let call = keptCall
        leave()
        closeSocket()
        call?.disconnect()
        if let reason { service.onClientDropped?(peer, reason) }
    }

    private func handOver(_ upgrade: Upgrade) {
        let rest = reception.takeRest()
        leave()
        var taken = OwnedDescriptor(adopting: -1)
        swap(&taken, &socket)
        SocketMessage.limitUnreceived(service.limits.unreceivedBytes.upperBound, of: taken)
        upgrade.call.forgetConnection()
        upgrade.handler(taken, rest)
    }

    private func leave() {
        state.end()
        watch?.cancel()
        watch = nil
        for timer in [messageTimer, flushTimer, receptionTimer] { timer?.cancel() }
        keptCall = nil
        output.clear()
        reportUnsent()
        _ = reception.takeRest()
        reportUnfinished()
        service.remove(self)
    }

    private func updateWatch() {
        guard let watch else { return }
        // It will look at everything when it is its turn, and is not told again and again until then.
        if isInLine { return watch.readiness = .edgesOnly }
        // `advance` does this once it knows whether there is another call already.
        if isAdvancing { return }
        var wanted = state.watched(isFull: output.isFull)
        if isAdvanceScheduled { wanted.subtract([.readable, .peerFinished]) }
        watch.readiness = wanted
    }
}
