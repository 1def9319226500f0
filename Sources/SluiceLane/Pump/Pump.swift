internal import EventLoop
internal import Foundation
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization
internal import SystemPackage
internal import UnixSockets

/// Moves one body from URLSession's chunks into the consumer's pipe, by way of the staging pipe and the ledger.
///
/// It begins at the order's position: the bytes before that are in the consumer's pipe and in the account.
///
/// The whole writing policy is here: chunks are gathered until there are enough for a large write, or until the origin
/// pauses. Then one `writev` puts them into the staging pipe, and `splice` passes the pages on to the consumer. Bytes
/// that the consumer does not take stay. At the high watermark `deliver` does not return until the low one is reached.
///
/// ## Concurrency model
/// Two threads meet here. The session's thread calls `deliver` and `originEnded`; the loop's thread calls the rest.
/// Both write: the session's thread writes a small body as it arrives, which is fastest. Of a large body the loop's
/// thread writes what has been gathered while the session's thread receives more, so that two processors copy at a
/// time. At the high watermark the session's thread must not receive more, so it writes.
///
/// There are two locks. The thread that writes holds `pen`, which keeps the bytes in order. It is held during system
/// calls, but none of them waits, because both pipes are non-blocking. `state` protects what both threads share, and is
/// held for short accesses only. A thread that takes both takes the pen first. Only the session's thread waits, in
/// `waitForRoom` and `keepToRate`, and it holds neither lock then.
final class Pump: Sendable {
    /// The number of bytes for which a write is worth its system calls; also the capacity of a grown staging pipe.
    static let gatherSize = 256 << 10
    /// A body of which this many bytes have come is a large one.
    private static let largeBody = 1 << 20
    /// How long the origin may pause before the gathered bytes are written, in ms.
    private static let pauseMilliseconds = 1
    /// How long a byte may be held back for a larger write while the origin does not pause, in ns.
    private static let longestGather: UInt64 = 5_000_000

    private let sink: OwnedDescriptor
    private let room: RoomWait
    let account: LaneAccount
    private let maximumSize: Int?
    private let stalledAfterNanoseconds: UInt64
    private let notify: @Sendable (Event) -> Void
    private let position: Int
    private let pen = Mutex(())
    private let state: Mutex<PumpState>

    /// A pump for one job.
    ///
    /// - Parameters:
    ///   - sink: the consumer's pipe or socket, non-blocking.
    ///   - account: an account at the order's position, with an empty staging pipe.
    ///   - room: used by no other pump until this one has ended.
    ///   - notify: called on either thread, never under a lock; must not wait.
    init(
        sink: consuming OwnedDescriptor, account: LaneAccount, room: RoomWait, order: LaneOrder,
        marks: Watermarks, notify: @escaping @Sendable (Event) -> Void
    ) throws(Errno) {
        let capacity = try account.staging.pipeCapacity()
        self.sink = sink
        self.account = account
        self.notify = notify
        self.room = room
        maximumSize = order.maximumSize
        position = order.position
        stalledAfterNanoseconds = UInt64(order.stalledAfterSeconds * 1e9)
        state = Mutex(
            PumpState(
                position: order.position, marks: marks, stagingCapacity: capacity,
                before: account.ledger.read(), parkAfter: order.parkAfterSeconds, rate: order.rate))
    }

    // MARK: The session's thread

    /// Records the representation of the body that begins now. Call it before the first chunk is delivered.
    func announce(_ representation: Representation) {
        account.ledger.setRepresentation(representation)
    }

    /// Takes a chunk; returns when more may come.
    func deliver(_ chunk: Data) {
        let todo = state.withLock { accept(chunk, &$0) }
        switch todo {
        case .nothing: break
        case .gather(let handsOver, let startsTicking):
            if startsTicking { notify(.startTicking) }
            if handsOver { notify(.gathered) }
        case .push(let everything):
            write { events in
                push(everything: everything, &events)
                state.withLock { startTickingIfNeeded(&$0, &events) }
            }
            waitForRoom()
        case .refuse:
            if end() { notify(.tooLarge) }
        }
        keepToRate()
    }

    /// Waits as long as the rate requires. The wait may be long, so the consumer first gets the bytes that are there.
    private func keepToRate() {
        guard state.withLock({ $0.pauses(at: Monotonic.nanoseconds()) }) > 0 else { return }
        write { events in
            push(everything: true, &events)
            state.withLock { startTickingIfNeeded(&$0, &events) }
        }
        while true {
            let nanoseconds = state.withLock { $0.pauses(at: Monotonic.nanoseconds()) }
            guard nanoseconds > 0 else { return }
            room.pause(nanoseconds: nanoseconds)
        }
    }

    /// What `deliver` must do with a chunk that has come.
    private enum Todo {
        /// The chunk is dropped: the job or the body has ended.
        case nothing
        /// The chunk waits for more, or for the loop's thread to write it.
        case gather(handsOver: Bool, startsTicking: Bool)
        /// The gathered bytes are written now.
        case push(everything: Bool)
        /// The body is larger than the job allows.
        case refuse
    }

    private func accept(_ chunk: Data, _ state: inout PumpState) -> Todo {
        guard !state.isEnded, !state.originHasEnded else { return .nothing }
        if let maximumSize, state.received + chunk.count > maximumSize { return .refuse }
        let now = Monotonic.nanoseconds()
        let hadPaused = now - state.origin.active > UInt64(Self.pauseMilliseconds) * 1_000_000
        let isTrickle = hadPaused && state.gate.buffered == 0
        if state.gate.buffered == 0 { state.consumer.isOffered(having: state.delivered, at: now) }
        state.origin.sent(at: now)
        state.received += chunk.count
        state.pay(for: chunk.count, at: now)
        account.ledger.setReceived(state.received)
        if state.chunks.isEmpty { state.gatheredSince = now }
        state.chunks.append(chunk)
        let hasClosed = state.gate.arrived(chunk.count) == .close
        account.ledger.setBuffered(state.gate.buffered)
        if hasClosed {
            state.origin.gateCloses(at: now)
            account.ledger.gateClosed(closures: state.closuresBefore + state.gate.closures, at: now)
        }
        // The first chunk after a pause is written at once, because holding back a slow body gains nothing.
        state.arrivedSincePush += chunk.count
        if isTrickle || hasClosed { return .push(everything: true) }
        let isEnough = isWorthPushing(state)
        if isEnough, !isWorthWaking(state) { return .push(everything: false) }
        let handsOver = isEnough && !state.isHandedOver
        if handsOver { state.isHandedOver = true }
        return .gather(handsOver: handsOver, startsTicking: state.startsTicking())
    }

    /// Whether there are enough bytes for a large write. If the consumer's pipe was full, only the bytes that came
    /// since then count.
    private func isWorthPushing(_ state: borrowing PumpState) -> Bool {
        (state.isBlocked ? state.arrivedSincePush : state.chunks.count)
            >= min(Self.gatherSize, state.stagingCapacity)
    }

    /// Whether body and pipes are large. Otherwise waking the other thread costs more than it gains.
    private func isWorthWaking(_ state: borrowing PumpState) -> Bool {
        state.received - position >= Self.largeBody && state.stagingCapacity >= Self.gatherSize
    }

    /// Waits while the gate is closed. Writes each time the consumer's pipe has room.
    private func waitForRoom() {
        guard state.withLock({ $0.awaitsRoom() }) else { return }
        repeat {
            room.wait(for: sink)
            state.withLock { $0.hasWaited() }
            write { push(everything: true, &$0) }
        } while state.withLock({ $0.awaitsRoom() })
    }

    /// Accounts for bytes that the origin has sent but that are not for the consumer.
    func skip(_ bytes: Int) {
        guard bytes > 0 else { return }
        state.withLock { state in
            let now = Monotonic.nanoseconds()
            state.origin.sent(at: now)
            state.skipped += bytes
            state.pay(for: bytes, at: now)
        }
        keepToRate()
    }

    /// How long the origin had to wait during its last long hold, if that ended recently (`OriginTurn.recentHold`).
    func recentHold() -> Duration? {
        state.withLock { $0.origin.recentHold(at: Monotonic.nanoseconds()) }
    }

    /// Bytes of the body that the consumer's pipe has received so far, including those before the position.
    var delivered: Int {
        state.withLock { $0.delivered }
    }

    /// Bytes of the body that have come so far, including those before the position.
    var received: Int {
        state.withLock { $0.received }
    }

    /// The origin has sent its last byte, with or without an error. `drained` follows when all bytes are passed on.
    func originEnded() {
        state.withLock { $0.originHasEnded = true }
        write { events in
            pushAll(&events)
            state.withLock { startTickingIfNeeded(&$0, &events) }
        }
    }

    // MARK: The loop's thread

    /// The consumer's end, for the loop to watch.
    func watch(
        on loop: EventLoop, for readiness: Readiness, _ handler: @escaping (Readiness) -> Void
    ) throws(Errno) -> Watch {
        try loop.watch(sink, for: readiness, handler)
    }

    /// Passes bytes on until the consumer takes no more.
    ///
    /// - Returns: whether to watch for room.
    func pushAll() -> Bool {
        write { pushAll(&$0) }
        return state.withLock { $0.needsWatch }
    }

    /// Writes the gathered bytes, after `gathered`. While the gate is closed the session's thread writes them instead,
    /// because it waits for room in the consumer's pipe.
    func pushGathered() {
        let isOpen = state.withLock { state in
            state.isHandedOver = false
            return !state.gate.isClosed
        }
        if isOpen { write { push(everything: false, &$0) } }
    }

    /// Checks, a moment after bytes have arrived, whether the origin has paused and whether the consumer reads.
    func tick() -> Tick {
        let (hasArrived, isDue) = state.withLock { state in
            let hasArrived = state.received != state.receivedAtLastTick
            state.receivedAtLastTick = state.received
            let isOld = Monotonic.nanoseconds() - state.gatheredSince > Self.longestGather
            return (hasArrived, !hasArrived || isOld || state.originHasEnded)
        }
        if isDue { write { pushAll(&$0) } }
        var events: [Event] = []
        let tick = state.withLock { state in
            let next = nextTick(&state, hasArrived: hasArrived, &events)
            // While bytes come, the session's thread writes. Once a stall is reported there are no ticks, so only the
            // watch can notice that there is room.
            return Tick(next: next, wantsRoom: state.needsWatch && (!hasArrived || state.stallIsReported))
        }
        events.forEach(notify)
        return tick
    }

    private func nextTick(_ state: inout PumpState, hasArrived: Bool, _ events: inout [Event]) -> Tick.Next {
        guard !state.isEnded, hasArrived || state.gate.buffered > 0 else {
            state.isTicking = false
            return .never
        }
        guard state.isBlocked else {
            state.blockedTicks = 0
            return .after(milliseconds: Self.pauseMilliseconds)
        }
        let now = Monotonic.nanoseconds()
        if state.consumer.noticesHold(state.stand, at: now) { events.append(.held) }
        let stallsAt = state.consumer.active + stalledAfterNanoseconds
        if now >= stallsAt {
            state.isTicking = false
            state.stallIsReported = true
            return .stalled(holdAfter: state.consumer.millisecondsToHold(state.stand, from: now))
        }
        // Only the consumer can empty a full pipe, so the lane looks less and less often, but not later than needed.
        state.blockedTicks += 1
        let untilStalled = Int((stallsAt - now) / 1_000_000) + 1
        let needed = min(
            untilStalled, state.consumer.millisecondsToHold(state.stand, from: now) ?? .max)
        return .after(milliseconds: min(needed, 1 << min(state.blockedTicks, 7)))
    }

    /// Checks, while a stall is reported, whether the consumer has held the origin up for too long.
    ///
    /// - Returns: the time until the next check, in ms; nil if none is needed before the next stall.
    func checkHold() -> Int? {
        var events: [Event] = []
        let next = state.withLock { state -> Int? in
            // While there are ticks, they do this check.
            guard !state.isEnded, state.stallIsReported else { return nil }
            let now = Monotonic.nanoseconds()
            if state.consumer.noticesHold(state.stand, at: now) { events.append(.held) }
            return state.consumer.millisecondsToHold(state.stand, from: now)
        }
        events.forEach(notify)
        return next
    }

    /// Closes the account: nothing is written after this call, and bytes that arrive are dropped.
    ///
    /// - Returns: false if the account was closed before.
    func end() -> Bool {
        pen.withLock { _ in
            state.withLock { state in
                guard !state.isEnded else { return false }
                end(&state)
                return true
            }
        }
    }

    /// Sets the rate at which the job may receive from now on; nil for any.
    func setRate(_ bytesPerSecond: Int?) {
        let isPaused = state.withLock { state in
            state.setRate(bytesPerSecond, at: Monotonic.nanoseconds())
            return state.origin.isPaused
        }
        if isPaused { room.end() }
    }

    /// The daemon has grown the staging pipe, so larger fills are possible.
    func pipesGrown() {
        guard let capacity = try? account.staging.pipeCapacity() else { return }
        state.withLock { $0.stagingCapacity = capacity }
    }

    /// Whether the staging pipe has the size of a new one. The daemon grows the staging pipe of a fast consumer.
    var stagingIsOrdinary: Bool {
        state.withLock { $0.stagingCapacity <= PipeBudget.ordinaryCapacity && !$0.consumer.isFast }
    }

    /// How long the origin has been silent behind an open gate; nil while it cannot send, and once it has ended.
    func originSilence() -> Duration? {
        state.withLock { state in
            guard !state.originHasEnded, !state.isEnded else { return nil }
            return state.origin.silence(at: Monotonic.nanoseconds()).map { .nanoseconds(Int64(clamping: $0)) }
        }
    }

    /// What the origin has sent in the time in which it could send.
    struct OriginPace {
        /// How long the origin could send since the pump was made, in ns.
        var openTime: UInt64
        /// Bytes that have come so far, including those that the consumer had before.
        var received: Int
        /// True if the origin cannot send now: the gate is closed, or the rate makes the session wait.
        var isHeldBack: Bool
    }

    /// What the origin has sent so far; nil once the origin or the job has ended.
    func originPace() -> OriginPace? {
        state.withLock { state in
            guard !state.originHasEnded, !state.isEnded else { return nil }
            return OriginPace(
                openTime: state.origin.openTime(at: Monotonic.nanoseconds()),
                received: state.received + state.skipped,
                isHeldBack: state.origin.isHeldBack)
        }
    }

    // MARK: With the pen

    /// Holds the pen while `body` runs, and then sends the events that `body` has collected.
    private func write(_ body: (inout [Event]) -> Void) {
        var events: [Event] = []
        pen.withLock { _ in body(&events) }
        events.forEach(notify)
    }

    /// The next thing to write.
    private enum Step {
        case fill(ChunkQueue.Batch, filled: Int)
        case passOn(Int)
        case none
    }

    private func push(everything: Bool, _ events: inout [Event]) {
        state.withLock { state in
            state.isBlocked = false
            state.arrivedSincePush = 0
        }
        while true {
            let step = state.withLock { state -> Step in
                guard !state.isEnded else { return .none }
                if state.staged > 0 { return .passOn(state.staged) }
                let enough = everything ? 1 : min(Self.gatherSize, state.stagingCapacity)
                guard state.chunks.count >= enough else { return .none }
                return .fill(state.chunks.front(atMost: state.stagingCapacity), filled: state.filled)
            }
            switch step {
            case .fill(let batch, let filled): fill(batch, filled: filled, &events)
            case .passOn(let staged): guard passOn(staged, &events) else { return }
            case .none: return
            }
        }
    }

    /// Moves bytes from the staging pipe to the consumer. Returns false if nothing more can be moved now.
    private func passOn(_ staged: Int, _ events: inout [Event]) -> Bool {
        do {
            let moved = try Splice.move(from: account.staging, to: sink, count: staged)
            state.withLock { hasPassedOn(moved, &$0, &events) }
            return true
        } catch .wouldBlock {
            state.withLock { $0.isBlocked = true }
            return false
        } catch {
            // EPIPE: the reader has gone. Any other error means that the consumer's end is unusable, which has the same
            // consequence.
            state.withLock { end(&$0) }
            events.append(.consumerGone)
            return false
        }
    }

    private func hasPassedOn(_ moved: Int, _ state: inout PumpState, _ events: inout [Event]) {
        state.staged -= moved
        let now = Monotonic.nanoseconds()
        state.consumer.took(having: state.delivered, at: now)
        if state.gate.drained(moved) == .open { openGate(&state) }
        account.ledger.setBuffered(state.gate.buffered)
        if state.consumer.noticesRelease(state.stand, at: now) { events.append(.released) }
        if state.stallIsReported {
            state.stallIsReported = false
            state.isTicking = true
            events.append(.flowing)
        }
        if state.consumer.noticesSpeed(having: state.delivered, at: now) { events.append(.keepsUp) }
    }

    /// Writes chunks into the staging pipe, which is empty.
    private func fill(_ batch: ChunkQueue.Batch, filled: Int, _ events: inout [Event]) {
        account.ledger.beginFill(filled: filled)
        do {
            let count = try batch.write(to: account.staging)
            account.ledger.endFill(filled: filled + count)
            state.withLock { state in
                state.chunks.consume(count)
                state.gatheredSince = Monotonic.nanoseconds()
                state.filled += count
                state.staged = count
            }
        } catch {
            // An empty staging pipe takes at least a page. If it does not, nothing can be delivered any more.
            account.ledger.endFill(filled: filled)
            state.withLock { end(&$0) }
            events.append(.consumerGone)
        }
    }

    /// Writes everything that the consumer takes. While the gate is closed only the session's thread does that.
    private func pushAll(_ events: inout [Event]) {
        let (hasEnded, isClosed) = state.withLock { ($0.originHasEnded, $0.gate.isClosed) }
        guard hasEnded || !isClosed else { return }
        push(everything: true, &events)
        guard hasEnded else { return }
        state.withLock { state in
            guard state.gate.buffered == 0, !state.isEnded else { return }
            end(&state)
            events.append(.drained)
        }
    }

    private func startTickingIfNeeded(_ state: inout PumpState, _ events: inout [Event]) {
        if state.startsTicking() { events.append(.startTicking) }
    }

    // MARK: With the pen and the state

    private func openGate(_ state: inout PumpState) {
        if state.origin.gateOpens(at: Monotonic.nanoseconds()) {
            account.ledger.gateOpened(stalledNanoseconds: state.origin.closedTime)
        }
        if state.isAwaited || (state.isEnded && state.origin.isPaused) { room.end() }
    }

    private func end(_ state: inout PumpState) {
        state.isEnded = true
        state.chunks = ChunkQueue()
        openGate(&state)
    }
}
