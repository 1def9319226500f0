internal import EventLoop
internal import Foundation
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Synchronization
internal import SystemPackage
internal import Unix

/// Moves one body from URLSession's chunks into the consumer's pipe, by way of the staging pipe and the ledger.
///
/// It begins at the order's position: the bytes before that are in the consumer's pipe and in the account.
///
/// Chunks are gathered until there are enough for a large write, or until the origin pauses. Then one `writev` puts them
/// into the staging pipe, and `splice` passes the pages on to the consumer. Bytes that the consumer does not take stay.
/// At the high watermark `deliver` does not return until the low one is reached. What is done when is decided by
/// `PumpStateMachine`; the writes are `PumpWriter`'s.
///
/// ## Concurrency model
/// Two threads meet here. The session's thread calls `deliver` and `originEnded`; the loop's thread calls the rest.
/// Both write: the session's thread writes a small body as it arrives, which is fastest. Of a large body the loop's
/// thread writes what has been gathered while the session's thread receives more, so that two processors copy at a
/// time. At the high watermark the session's thread must not receive more, so it writes.
///
/// There are two locks. The thread that writes holds that of `writer`, during system calls that do not wait. The lock of
/// `PumpContent` is held for short accesses only. A thread that takes both takes the writer's first. Only the session's
/// thread waits, in `waitForRoom` and `keepToRate`, and it holds neither lock then.
final class Pump: Sendable {
    private let content: PumpContent
    private let writer: Mutex<PumpWriter>
    private let room: RoomWait
    private let notify: @Sendable (PumpEvent) -> Void

    var account: LaneAccount { content.account }

    /// A pump for one job.
    ///
    /// - Parameters:
    ///   - sink: the consumer's pipe or socket, non-blocking.
    ///   - account: an account at the order's position, with an empty staging pipe.
    ///   - room: used by no other pump until this one has ended.
    ///   - notify: called on either thread, never under a lock; must not wait.
    init(
        sink: consuming OwnedDescriptor, account: LaneAccount, room: RoomWait, order: LaneOrder,
        marks: Watermarks, notify: @escaping @Sendable (PumpEvent) -> Void
    ) throws(Errno) {
        content = try PumpContent(sink: sink, account: account, room: room, order: order, marks: marks)
        writer = Mutex(PumpWriter(content))
        self.room = room
        self.notify = notify
    }

    /// Lends the writer to `body`, and then sends the events of that.
    private func write(_ body: (inout PumpWriter) -> Void) {
        let events = writer.withLock { writer in
            body(&writer)
            return writer.takeEvents()
        }
        events.forEach(notify)
    }

    // MARK: The session's thread

    /// Records the representation of the body that begins now. Call it before the first chunk is delivered.
    func announce(_ representation: Representation) {
        account.ledger.setRepresentation(representation)
    }

    /// Takes a chunk; returns when more may come.
    func deliver(_ chunk: Data) {
        switch content.take(chunk) {
        case .drop: break
        case .tooLarge:
            if end() { notify(.tooLarge) }
        case .keep(.later(let handsOver, let startsTicking)):
            if startsTicking { notify(.startTicking) }
            if handsOver { notify(.gathered) }
        case .keep(.now(let everything)):
            write { writer in
                writer.push(everything: everything)
                writer.startTickingIfNeeded()
            }
            waitForRoom()
        }
        keepToRate()
    }

    /// Counts bytes that the origin has sent but that are not for the consumer.
    func skip(_ bytes: Int) {
        guard bytes > 0 else { return }
        content.withMachine { $0.skips(bytes, at: Monotonic.nanoseconds()) }
        keepToRate()
    }

    /// The origin has sent its last byte, with or without an error. `drained` follows when all bytes are passed on.
    func originEnded() {
        content.withMachine { $0.originEnds() }
        write { writer in
            writer.pushAll()
            writer.startTickingIfNeeded()
        }
    }

    /// Waits while the gate is closed. Writes each time the consumer's pipe has room.
    private func waitForRoom() {
        guard content.withMachine({ $0.awaitsRoom() }) else { return }
        repeat {
            room.wait(for: content.sink)
            content.withMachine { $0.hasWaited() }
            write { $0.push(everything: true) }
        } while content.withMachine({ $0.awaitsRoom() })
    }

    /// Waits as long as the rate requires. The wait may be long, so the consumer first gets the bytes that are there.
    private func keepToRate() {
        guard pause() > 0 else { return }
        write { writer in
            writer.push(everything: true)
            writer.startTickingIfNeeded()
        }
        while true {
            let nanoseconds = pause()
            guard nanoseconds > 0 else { return }
            room.pause(nanoseconds: nanoseconds)
        }
    }

    private func pause() -> UInt64 {
        content.withMachine { $0.pauses(at: Monotonic.nanoseconds()) }
    }

    // MARK: The loop's thread

    /// The consumer's end, for the loop to watch.
    func watch(
        on loop: EventLoop, for readiness: Readiness, _ handler: @escaping (Readiness) -> Void
    ) throws(Errno) -> Watch {
        try loop.watch(content.sink, for: readiness, handler)
    }

    /// What is left to do after the consumer's pipe had room.
    enum Rest {
        /// Nothing waits for room.
        case none
        /// The pipe is full again.
        case full
        /// The pipe is still full, and a stall is reported.
        case stalled
    }

    /// Passes bytes on until the consumer takes no more.
    func pushAll() -> Rest {
        write { $0.pushAll() }
        return content.withMachine { $0.needsWatch ? $0.isStalled ? .stalled : .full : .none }
    }

    /// Writes the gathered bytes, after `gathered`.
    func pushGathered() {
        if content.withMachine({ $0.takesOver() }) { write { $0.push(everything: false) } }
    }

    /// Checks, a moment after bytes have arrived, whether the origin has paused and whether the consumer reads.
    func tick() -> PumpTick {
        let (hasArrived, isDue) = content.withMachine { $0.tickBegins(at: Monotonic.nanoseconds()) }
        if isDue { write { $0.pushAll() } }
        return look { $0.tickEnds(hasArrived: hasArrived, &$1, at: Monotonic.nanoseconds()) }
    }

    /// Checks, while a stall is reported, whether the consumer has held the transfer up for too long.
    ///
    /// - Returns: the time until the next check, in ms; nil if none is needed before the next stall.
    func checkHold() -> Int? {
        look { $0.checkHold(&$1, at: Monotonic.nanoseconds()) }
    }

    /// Closes the account: nothing is written after this call, and bytes that arrive are dropped.
    ///
    /// - Returns: false if the account was closed before.
    func end() -> Bool {
        writer.withLock { _ in content.end() }
    }

    /// Sets the rate at which the job may receive from now on; nil for any.
    func setRate(_ bytesPerSecond: Int?) {
        let isPaused = content.withMachine { machine in
            machine.setRate(bytesPerSecond, at: Monotonic.nanoseconds())
            return machine.isPaused
        }
        if isPaused { room.end() }
    }

    /// The daemon has grown the staging pipe, so larger fills are possible.
    func pipesGrown() {
        guard let capacity = try? account.staging.pipeCapacity() else { return }
        content.withMachine { $0.stagingHas(capacity: capacity) }
    }

    /// Looks at the consumer, and then sends the events of that.
    private func look<Result>(_ body: (inout PumpStateMachine, inout [PumpEvent]) -> Result) -> Result {
        var events: [PumpEvent] = []
        let result = content.withMachine { body(&$0, &events) }
        events.forEach(notify)
        return result
    }

    // MARK: Either thread

    /// Bytes of the body that the consumer's pipe has received so far, including those before the position.
    var delivered: Int { content.withMachine { $0.delivered } }

    /// Bytes of the body that have come so far, including those before the position.
    var received: Int { content.withMachine { $0.received } }

    /// Whether the staging pipe has the size of a new one. The daemon grows the staging pipe of a fast consumer.
    var stagingIsOrdinary: Bool { content.withMachine { $0.stagingIsOrdinary } }

    /// How long the origin has been silent behind an open gate; nil while it cannot send, and once it has ended.
    func originSilence() -> Duration? {
        content.withMachine { $0.originSilence(at: Monotonic.nanoseconds()) }
            .map { .nanoseconds(Int64(clamping: $0)) }
    }

    /// What the origin has sent so far; nil once the origin or the job has ended.
    func originPace() -> OriginPace? {
        content.withMachine { $0.originPace(at: Monotonic.nanoseconds()) }
    }

    /// The length of the last long time that the origin had to wait, if that ended recently (`OriginTurn.recentWait`).
    func recentWait() -> Duration? {
        content.withMachine { $0.recentWait(at: Monotonic.nanoseconds()) }
    }
}
