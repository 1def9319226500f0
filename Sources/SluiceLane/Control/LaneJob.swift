internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import UnixSockets

/// One job in this lane. It is over when its account is closed and URLSession has finished its task.
///
/// Used on the loop's thread only.
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
    /// The outcome that the job will have once all bytes are delivered, set when URLSession has finished.
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

    /// Lets another lane write for this job. Call it only after the pump has ended, when it uses neither the pipes nor
    /// the ledger any more. The pump itself may live a moment longer, but has no descriptor of the ledger.
    ///
    /// - Returns: the ledger's file; nil if the lock was released before.
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

/// Carries events of one job from any thread to the loop's thread.
final class LaneMailbox: Sendable {
    enum Event: Sendable {
        case pump(Pump.Event)
        case transfer(Transfer.Event)
        /// The session's thread is alive: the answer to the question with this number.
        case isAlive(Int)
    }

    private let loop: EventLoop
    private let serial: Int
    // The controller is used on the loop's thread only. Other threads hold this reference, but only the block in
    // `post`, which runs on that thread, uses it.
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
