internal import EventLoop

/// What a connection is in the middle of. Pure: `Connection` says what happened, and does what this answers.
///
/// `Upgrade` is what the connection's owner needs to hand the socket over.
struct ConnectionState<Upgrade> {
    /// What a client's next call, or the rest of it, waits for.
    enum Wait {
        case nothing
        /// The service's owner has not said yet whether the client is admitted.
        case admission
        /// This client, or another one of the same user, has to read replies first.
        case replies
        /// Other calls of the same user have to become whole first.
        case room
        /// The connection takes its turn later.
        case turn
    }

    enum Phase {
        /// Between two calls.
        case reading(Wait)
        /// A call is unanswered.
        case calling(thenCloses: Bool)
        /// The last reply goes out, then the socket is handed over.
        case upgrading(Upgrade)
        /// What waits goes out, then the connection ends. One that lingers first lets the client finish what it is
        /// sending and see the reply: closed at once, a blocking client would get EPIPE and never look.
        case closing(lingers: Bool)
        /// Nothing goes any more; the next step ends it.
        case failed(VarlinkDropReason?)
        case ended
    }

    /// What to do about events of the socket.
    enum Reaction: Equatable {
        case nothing
        /// Read what the client has sent.
        case receive
        /// Read it and drop it.
        case discard
        /// The client has gone.
        case fail
    }

    /// What to do once nothing else is left to do.
    enum Step {
        case nothing
        /// Tell the client that no more comes.
        case finishSending
        case handOver(Upgrade)
        case end(VarlinkDropReason?)
    }

    /// What to do where no whole call is there.
    enum Lull: Equatable {
        case nothing
        /// Wait for the rest of a call, but not long.
        case awaitRest
        /// Stop waiting for the rest of a call.
        case awaitCall
        /// The client sends no more: say goodbye.
        case close
    }

    private(set) var phase = Phase.reading(.nothing)
    /// The client sends no more.
    private var peerHasFinished = false
    /// The client has closed the connection. It may have left calls that want no reply.
    private var peerHasGone = false

    var isReading: Bool { if case .reading = phase { true } else { false } }

    var isCalling: Bool { if case .calling = phase { true } else { false } }

    var hasEnded: Bool { if case .ended = phase { true } else { false } }

    /// Whether there is still a socket to send to.
    var maySend: Bool {
        switch phase {
        case .reading, .calling, .upgrading, .closing: true
        case .failed, .ended: false
        }
    }

    var wait: Wait? { if case .reading(let wait) = phase { wait } else { nil } }

    /// Whether a whole call may be carried out, as far as the state says.
    var mayTakeCalls: Bool { wait.map { $0 != .turn } ?? false }

    // MARK: Between two calls

    /// The client's next call has to wait, or need not wait any more.
    mutating func startWaiting(for wait: Wait) {
        if isReading { phase = .reading(wait) }
    }

    /// What was waited for is there; other waits go on.
    mutating func stopWaiting(for wait: Wait) {
        if self.wait == wait { phase = .reading(.nothing) }
    }

    /// - Parameter awaitsReply: false for a call that is over as soon as it has been handled.
    /// - Returns: false where the client, which has gone, could not get the reply.
    mutating func callBegins(awaitsReply: Bool) -> Bool {
        guard awaitsReply else { return true }
        if peerHasGone { return false }
        phase = .calling(thenCloses: false)
        return true
    }

    /// The pending call is answered.
    ///
    /// - Returns: false where none was.
    mutating func callEnds() -> Bool {
        guard case .calling(let thenCloses) = phase else { return false }
        phase = thenCloses ? .closing(lingers: false) : .reading(.nothing)
        return true
    }

    /// The pending call is answered, and the socket handed over after that.
    ///
    /// - Returns: false where no call was pending.
    mutating func upgrades(_ upgrade: Upgrade) -> Bool {
        guard case .calling = phase else { return false }
        phase = .upgrading(upgrade)
        return true
    }

    /// No whole call is there.
    ///
    /// - Parameter hasPart: a part of one is.
    mutating func awaitNextCall(hasPart: Bool) -> Lull {
        switch phase {
        case .reading(.nothing), .reading(.admission), .reading(.room):
            guard peerHasFinished else { return hasPart ? .awaitRest : .awaitCall }
            // What is left is half a call that will never be whole.
            phase = .closing(lingers: false)
            return .close
        case .reading(.replies), .reading(.turn), .calling, .upgrading, .closing, .failed, .ended:
            return .nothing
        }
    }

    // MARK: From the socket

    /// The loop has reported this of the socket.
    mutating func heard(_ readiness: Readiness) -> Reaction {
        let isGone = !readiness.isDisjoint(with: [.failed, .hungUp])
        switch phase {
        case .reading(let wait):
            if isGone { peerHasGone = true }
            switch wait {
            case .nothing:
                return isGone || !readiness.isDisjoint(with: [.readable, .peerFinished]) ? .receive : .nothing
            case .admission, .replies, .room:
                // It will not say what it wants, read its replies, or end its call.
                return isGone ? .fail : .nothing
            case .turn:
                return .nothing
            }
        case .closing(lingers: true):
            return isGone ? .fail : readiness.contains(.readable) ? .discard : .nothing
        case .calling, .upgrading, .closing(lingers: false):
            return isGone ? .fail : .nothing
        case .failed, .ended:
            return .nothing
        }
    }

    /// The client sends no more.
    mutating func peerFinishes() { peerHasFinished = true }

    /// What the socket is to be watched for.
    ///
    /// - Parameter isFull: replies wait until it takes more.
    func watched(isFull: Bool) -> Readiness {
        var wanted: Readiness = isFull ? [.writable] : []
        switch phase {
        case .reading(.nothing): wanted.formUnion([.readable, .peerFinished])
        case .closing(lingers: true): if !peerHasFinished { wanted.insert(.readable) }
        case .reading, .calling, .upgrading, .closing(lingers: false), .failed, .ended: break
        }
        return wanted
    }

    // MARK: The end

    /// Lets a pending call be answered, and ends.
    mutating func close() {
        switch phase {
        case .reading: phase = .closing(lingers: false)
        case .calling: phase = .calling(thenCloses: true)
        case .upgrading, .closing, .failed, .ended: break
        }
    }

    /// Ends once the client has seen its last reply.
    mutating func linger() { phase = .closing(lingers: true) }

    /// - Returns: false where it has failed or ended already.
    mutating func fail(_ reason: VarlinkDropReason?) -> Bool {
        guard maySend else { return false }
        phase = .failed(reason)
        return true
    }

    mutating func end() { phase = .ended }

    /// - Parameter hasUnsent: replies wait to be sent.
    func step(hasUnsent: Bool) -> Step {
        switch phase {
        case .failed(let reason): .end(reason)
        case .upgrading(let upgrade): hasUnsent ? .nothing : .handOver(upgrade)
        case .closing(lingers: false): hasUnsent ? .nothing : .end(nil)
        case .closing(lingers: true): hasUnsent ? .nothing : peerHasFinished ? .end(nil) : .finishSending
        case .reading, .calling, .ended: .nothing
        }
    }
}
