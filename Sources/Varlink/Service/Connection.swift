internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import UnixSockets

/// One client's connection: reads calls one at a time, writes replies, ends.
///
/// While a call is unanswered, or its reply unread, nothing is read, so that what a client sends ahead waits in its own
/// socket buffer; epoll reports a client that is gone all the same (EPOLLHUP needs no asking).
///
/// Code of the service's owner (handlers, `onDisconnect`, `onClientDropped`) runs from `advance` alone, which runs
/// from the loop alone; what is called by that code (`send`, `finish`, `upgrade`, `close`) changes the state and
/// leaves the rest to the next `advance`. So nothing here is entered twice.
final class Connection: UserConnection {
    private enum Phase {
        /// Between two calls.
        case reading
        /// A call is unanswered.
        case calling
        /// The last reply goes out, then the socket is handed over.
        case upgrading(VarlinkCall, (consuming OwnedDescriptor, [UInt8]) -> Void)
        /// What waits goes out, then the connection ends. One that lingers first lets the client finish what it is
        /// sending and see the reply: closed at once, a blocking client would get EPIPE and never look.
        case closing(lingers: Bool)
        /// Nothing goes any more; the next `advance` ends it.
        case failed(VarlinkDropReason?)
        case ended
    }

    /// What a client's next call, or the rest of it, waits for.
    private enum Wait {
        case nothing
        /// That the service's owner says whether the client is admitted.
        case admission
        /// That this client, or another one of the same user, reads replies.
        case replies
        /// That other calls of the same user are whole.
        case room
        /// That it is its turn.
        case turn
    }

    let peer: PeerCredentials
    var userID: UInt32 { peer.userID }
    /// Among all of the service; no later one has the same.
    let number: UInt64
    private let service: VarlinkService
    /// The number is -1 after the end.
    private var socket: OwnedDescriptor
    private var watch: Watch?
    private var phase = Phase.reading
    private var reception: CallReception
    private var queue = ReplyQueue()
    /// The unanswered call, in the phase `calling`. Weak, so that a call that is forgotten is noticed.
    private weak var call: VarlinkCall?
    private var closesAfterCall = false
    private var peerHasFinished = false
    private var peerHasGone = false
    private var wait = Wait.nothing
    /// When the call came that is not carried out yet, among the calls of all.
    private(set) var place: UInt64 = 0
    /// What the loop has reported and was not answered.
    private var events: Readiness = []
    private var isInLine = false
    private var hasTurn = false
    /// The unsent bytes that the service knows of.
    private var reportedBytes = 0
    /// The bytes of unfinished calls that the service knows of.
    private var reportedUnfinished = 0
    /// When the client last took something of what waits.
    private(set) var lastProgress = ContinuousClock.now
    private var isAdvancing = false
    private var isAdvanceScheduled = false
    private var socketIsFull = false
    private var messageTimer: Timer?
    private var flushTimer: Timer?
    private var receptionTimer: Timer?
    private var receptionDelay = Connection.firstReceptionDelay

    /// What is received where the user has no more room, in bytes: enough for a small call.
    private static let smallPiece = 4096

    /// What one connection may leave unread whatever its user's others do, in bytes.
    private static let unreadInAnyCase = 256 << 10

    /// How soon to look whether the client has received what is before a reply with descriptors; doubles each time.
    private static let firstReceptionDelay = Duration.milliseconds(1)
    private static let lastReceptionDelay = Duration.milliseconds(64)

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
        if isItsTurn() { takeTurn() } else { wait = .turn }
    }

    /// Asks whether the client is admitted, and begins to listen to it.
    private func start() {
        SocketMessage.limitUnreceived(service.unreceivedBytes(of: peer.userID), of: socket)
        // Mostly answered at once, and then it costs nothing to have asked.
        if case .reading = phase, let admission = service.admission {
            wait = .admission
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
        guard case .reading = phase, wait == .admission else { return }
        if let error {
            refuse(with: error)
            service.onClientDropped?(peer, .notAdmitted)
        } else {
            wait = .nothing
            updateWatch()
        }
    }

    var unsentBytes: Int { queue.unsentBytes }

    // MARK: From the calls and the service

    /// - Parameter continues: another reply to the same call follows.
    func send(_ bytes: [UInt8], descriptors: PushedDescriptors? = nil, continues: Bool = false) {
        switch phase {
        case .failed, .ended: return
        case .reading, .calling, .upgrading, .closing: break
        }
        let mayTry = queue.isEmpty
        if mayTry { lastProgress = .now }
        queue.append(bytes, descriptors: descriptors)
        // Where something waits already, this has to wait too.
        if mayTry { flush() }
        reportUnsent()
        // A call with many replies, such as Watch, was admitted when there was room. Its later replies are not held back.
        let isTooMuch =
            continues && queue.unsentBytes > Self.unreadInAnyCase
            && !service.hasRoomForReplies(of: peer.userID)
        if isTooMuch || queue.unsentBytes > service.limits.maximumUnreadReplyBytes { fail(.unreadReplies) }
    }

    func finish(with bytes: [UInt8], descriptors: PushedDescriptors? = nil) {
        guard case .calling = phase else { return }
        phase = closesAfterCall ? .closing(lingers: false) : .reading
        send(bytes, descriptors: descriptors)
        scheduleAdvance()
    }

    func finish(with error: some VarlinkErrorProtocol) {
        finish(with: MessageCoding.message(error: error))
    }

    func upgrade(
        with bytes: [UInt8], descriptors: PushedDescriptors?, call: VarlinkCall,
        _ handler: @escaping (consuming OwnedDescriptor, [UInt8]) -> Void
    ) {
        guard case .calling = phase else { return }
        phase = .upgrading(call, handler)
        send(bytes, descriptors: descriptors)
        scheduleAdvance()
    }

    /// Lets the pending call be answered and the replies be read, for this long, and ends.
    func close(within time: Duration) {
        switch phase {
        case .reading: phase = .closing(lingers: false)
        case .calling: closesAfterCall = true
        case .upgrading, .closing, .failed, .ended: break
        }
        startFlushTimer(time)
        scheduleAdvance()
    }

    /// Ends the conversation: tells a client that has no call why, and lets a call that is pending be answered, for as long
    /// as replies may wait.
    func expel(with error: some VarlinkErrorProtocol) {
        switch phase {
        case .reading: refuse(with: error)
        case .calling: close(within: service.limits.flushTimeout)
        case .upgrading, .closing, .failed, .ended: break
        }
    }

    /// Tells the client why there will be no conversation, and ends once it has seen it.
    func refuse(with error: some VarlinkErrorProtocol) {
        guard case .reading = phase else { return }
        phase = .closing(lingers: true)
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
        phase = .ended
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
        isInLine = !service.mayGoOn(self)
        updateWatch()
        return !isInLine
    }

    /// Answers what the loop has reported, and carries out a call that waits for that.
    func takeTurn() {
        isInLine = false
        if case .ended = phase { return }
        hasTurn = true
        respond(to: events)
        events = []
        if wait == .turn { wait = .nothing }
        if watch == nil { start() }
        advance()
        hasTurn = false
    }

    private func respond(to readiness: Readiness) {
        if readiness.contains(.writable) { flush() }
        let isGone = !readiness.isDisjoint(with: [.failed, .hungUp])
        switch phase {
        case .reading:
            if isGone { peerHasGone = true }
            switch wait {
            case .nothing:
                // Also from a client that has gone: it may have left oneway calls.
                if isGone || !readiness.isDisjoint(with: [.readable, .peerFinished]) { receive() }
            case .admission, .replies, .room:
                // It will not say what it wants, read its replies, or end its call.
                if isGone { fail(nil) }
            case .turn: break
            }
        case .closing(lingers: true):
            if isGone { fail(nil) } else if readiness.contains(.readable) { receive() }
        case .calling, .upgrading, .closing(lingers: false):
            if isGone { fail(nil) }
        case .failed, .ended: break
        }
    }

    private func receive() {
        if case .closing = phase { return discard() }
        // One whose call is not whole waits; a small one gets through.
        guard reception.isEmpty || service.mayReceive(self, waits: true) else {
            wait = .room
            return
        }
        let isCramped = reception.isEmpty && !service.mayReceive(self, waits: false)
        let scratch = service.scratch.buffer
        let buffer = UnsafeMutableRawBufferPointer(
            rebasing: scratch.prefix(isCramped ? Self.smallPiece : scratch.count))
        switch reception.receive(from: socket, through: buffer) {
        case .received: break
        case .finished: peerHasFinished = true
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
        case .finished, .unreceivable: peerHasFinished = true
        case .failed: fail(nil)
        }
    }

    /// Does what the state asks for.
    private func advance() {
        guard !isAdvancing else { return }
        isAdvancing = true
        process()
        switch phase {
        case .failed(let reason): end(reason)
        case .upgrading(let call, let handler): if queue.isEmpty { handOver(call, handler) }
        case .closing(lingers: false): if queue.isEmpty { end(nil) }
        case .closing(lingers: true):
            if queue.isEmpty {
                // The end of the stream tells a client that waits for more than the error that there is none.
                shutdown(socket.rawValue, CInt(SHUT_WR))
                if peerHasFinished { end(nil) }
            }
        case .reading, .calling, .ended: break
        }
        isAdvancing = false
        if case .reading = phase {} else { service.stopsWaiting(self) }
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
            if wait == .replies { wait = .nothing }
            while case .reading = phase, wait != .turn {
                if try reception.findNext() { place = service.nextPlace() }
                guard let message = reception.next else { break }
                guard mayTakeCall() else {
                    wait = .replies
                    break
                }
                messageTimer?.cancel()
                messageTimer = nil
                guard hasTurn || isItsTurn() else {
                    wait = .turn
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
        guard case .reading = phase, wait != .turn, wait != .replies else { return }
        if peerHasFinished {
            // What is left is half a call that will never be whole.
            phase = .closing(lingers: false)
            startFlushTimer(service.limits.flushTimeout)
        } else if reception.isEmpty {
            messageTimer?.cancel()
            messageTimer = nil
        } else if messageTimer == nil {
            messageTimer = service.loop.after(service.limits.messageTimeout) {
                if case .reading = self.phase { self.reject(.unfinishedMessage) }
                self.advance()
            }
        }
    }

    /// Whether replies have been read so far that there may be more.
    private func mayTakeCall() -> Bool {
        guard queue.isEmpty else { return false }
        guard queue.isCaughtUp(with: socket) else {
            lookAgain()
            return false
        }
        receptionDelay = Self.firstReceptionDelay
        return service.mayTakeCall(self)
    }

    /// Goes on, after `VarlinkService.mayTakeCall` or `mayReceive` had held it back.
    func resume() {
        if wait == .room { wait = .nothing }
        scheduleAdvance()
    }

    /// Drops a client that has read nothing of what waits for it since then.
    func drop(idleSince moment: ContinuousClock.Instant) {
        guard !queue.isEmpty, lastProgress < moment else { return }
        fail(.unreadReplies)
    }

    private func dispatch(_ message: IncomingMessage) {
        let head: CallHead
        do {
            try MessageScan.check(
                message.bytes, maximumValues: service.limits.maximumValuesPerMessage)
            head = try MessageCoding.decode(CallHead.self, from: message.bytes)
        } catch MessageScan.Fault.tooManyValues {
            return reject(.tooManyValues)
        } catch MessageScan.Fault.combiningCharacters(let field) {
            return reject(.unsafeText(field: field))
        } catch {
            let field = (error as? DecodingError).flatMap(MessageCoding.path(of:))
            return reject(.malformedMessage(field: field))
        }
        if peerHasGone, !(head.oneway ?? false) { return fail(nil) }
        let call = VarlinkCall(head: head, message: message, connection: self, service: service)
        if !call.isOneway {
            phase = .calling
            self.call = call
        }
        service.handle(call)
    }

    /// Answers what is no proper call with InvalidParameter, and closes: what follows cannot be trusted to be one.
    private func reject(_ reason: VarlinkDropReason) {
        messageTimer?.cancel()
        messageTimer = nil
        _ = reception.takeRest()
        phase = .closing(lingers: true)
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
        socketIsFull = false
        let before = queue.unsentBytes
        let progress = queue.send(to: socket)
        if queue.unsentBytes < before {
            receptionDelay = Self.firstReceptionDelay
            lastProgress = .now
        }
        reportUnsent()
        switch progress {
        case .drained: break
        case .socketIsFull: socketIsFull = true
        case .mustBeReceived: lookAgain()
        case .failed: fail(nil)
        }
        // `updateWatch` comes with the next `advance`, but a reply to another connection's event has none at hand.
        updateWatch()
    }

    private func lookAgain() {
        receptionTimer?.cancel()
        receptionTimer = service.loop.after(receptionDelay) {
            self.flush()
            self.advance()
        }
        receptionDelay = min(receptionDelay * 2, Self.lastReceptionDelay)
    }

    private func reportUnsent() {
        let change = queue.unsentBytes - reportedBytes
        guard change != 0 else { return }
        reportedBytes = queue.unsentBytes
        service.unsentBytesChanged(of: peer.userID, by: change)
    }

    private func reportUnfinished() {
        let change = reception.bytes - reportedUnfinished
        guard change != 0 else { return }
        reportedUnfinished += change
        service.unfinishedBytesChanged(of: peer.userID, by: change)
    }

    private func startFlushTimer(_ time: Duration) {
        flushTimer?.cancel()
        flushTimer = service.loop.after(time) {
            if case .ended = self.phase { return }
            self.fail(self.queue.isEmpty ? nil : .unreadAtClose)
            self.advance()
        }
    }

    // MARK: The end

    private func fail(_ reason: VarlinkDropReason?) {
        switch phase {
        case .failed, .ended: return
        case .upgrading(let call, _): self.call = call
        case .reading, .calling, .closing: break
        }
        keptCall = call
        phase = .failed(reason)
        scheduleAdvance()
    }

    /// The call of a connection that has failed, so that it lives to be told.
    private var keptCall: VarlinkCall?

    private func end(_ reason: VarlinkDropReason?) {
        let call = keptCall
        leave()
        closeSocket()
        call?.disconnect()
        if let reason { service.onClientDropped?(peer, reason) }
    }

    private func handOver(
        _ call: VarlinkCall, _ handler: (consuming OwnedDescriptor, [UInt8]) -> Void
    ) {
        let rest = reception.takeRest()
        leave()
        var taken = OwnedDescriptor(adopting: -1)
        swap(&taken, &socket)
        SocketMessage.limitUnreceived(service.limits.unreceivedBytes.upperBound, of: taken)
        call.forgetConnection()
        handler(taken, rest)
    }

    private func leave() {
        phase = .ended
        watch?.cancel()
        watch = nil
        for timer in [messageTimer, flushTimer, receptionTimer] { timer?.cancel() }
        keptCall = nil
        queue = ReplyQueue()
        reportUnsent()
        _ = reception.takeRest()
        reportUnfinished()
        service.remove(self)
    }

    private func updateWatch() {
        guard let watch else { return }
        // It will look at everything when it is its turn, and is not told again and again until then.
        if isInLine { return watch.readiness = .edgesOnly }
        var wanted: Readiness = socketIsFull ? [.writable] : []
        switch phase {
        case .reading:
            if wait == .nothing { wanted.formUnion([.readable, .peerFinished]) }
        case .closing(lingers: true): if !peerHasFinished { wanted.insert(.readable) }
        case .calling, .upgrading, .closing(lingers: false), .failed, .ended: break
        }
        watch.readiness = wanted
    }
}
