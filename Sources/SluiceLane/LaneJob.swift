internal import EventLoop
internal import SluiceCore
internal import UnixSockets

/// One job in this lane. It is over when both are true: nothing more will be written, and URLSession is done.
///
/// Belongs to the loop's thread.
final class LaneJob {
    let order: LaneOrder
    let pump: Pump
    let transfer: Transfer
    var sinkWatch: Watch?
    var tick: Timer?
    var hold: Timer?
    var patience: Timer?
    var sweep: Timer?
    var speedLook: Timer?
    var speed: SpeedWatch?
    /// What the end of the body means, once the origin has ended it.
    var result: EndFacts?
    var accountIsClosed = false
    var sessionIsDone = false
    private var lock: LedgerLock?

    init(order: LaneOrder, pump: Pump, transfer: Transfer, lock: consuming LedgerLock) {
        self.order = order
        self.pump = pump
        self.transfer = transfer
        self.lock = consume lock
    }

    /// Lets another lane write for this job. Only once the pump has ended: from then on it touches neither the pipes
    /// nor the ledger. The pump itself may live a moment longer, but has no descriptor of the ledger.
    ///
    /// - Returns: the ledger's file; nil where the lock was released before.
    func releaseLock() -> OwnedDescriptor? {
        guard let lock = lock.take() else { return nil }
        return lock.released()
    }

    func cancelTimers() {
        for timer in [tick, hold, patience, sweep, speedLook] { timer?.cancel() }
        sinkWatch?.cancel()
        sinkWatch = nil
    }
}

/// Carries events of one job from the session's thread to the loop's.
final class LaneMailbox: Sendable {
    enum Event: Sendable {
        case pump(Pump.Event)
        case transfer(Transfer.Event)
        /// The session's thread is alive; the answer to the question with this number.
        case isAlive(Int)
    }

    private let loop: EventLoop
    private let serial: Int
    // Only touched on the loop's thread, in `execute`: the controller lives there.
    private nonisolated(unsafe) let controller: LaneController

    init(loop: EventLoop, controller: LaneController, serial: Int) {
        self.loop = loop
        self.serial = serial
        self.controller = controller
    }

    func post(_ event: Event) {
        loop.execute { [self] in controller.handle(event, serial: serial) }
    }
}
