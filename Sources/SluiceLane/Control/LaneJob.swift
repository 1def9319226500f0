internal import EventLoop
internal import LaneProtocol
internal import Unix

/// One job in this lane. It is over when its account is closed and URLSession has finished its task.
///
/// Used on the loop's thread only.
final class LaneJob {
    let order: LaneOrder
    let pump: Pump
    let transfer: Transfer
    let consumer: ConsumerMonitor
    let origin: OriginTimeouts
    var stage = LaneStage<Timer, EndFacts>.transferring
    private var lock: LedgerLock?

    init(
        order: LaneOrder, pump: Pump, transfer: Transfer, consumer: ConsumerMonitor, origin: OriginTimeouts,
        lock: consuming LedgerLock
    ) {
        self.order = order
        self.pump = pump
        self.transfer = transfer
        self.consumer = consumer
        self.origin = origin
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
}
