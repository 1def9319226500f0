internal import Foundation
internal import LaneProtocol
internal import SluiceCore
internal import Synchronization
internal import SystemPackage
internal import Unix

/// What both threads of a pump use: the two pipes, the ledger, and, under a lock, the bytes that wait and what is known
/// about them (`PumpStateMachine`). Each change is told to the ledger under the same lock.
///
/// Any thread may call it. Nothing here waits or writes to a pipe.
final class PumpContent: Sendable {
    private struct Shared {
        var machine: PumpStateMachine
        var chunks = ChunkQueue()
    }

    /// The consumer's pipe or socket, non-blocking.
    let sink: OwnedDescriptor
    let account: LaneAccount
    private let room: RoomWait
    private let shared: Mutex<Shared>

    /// - Throws: the error of `fcntl(2)`.
    init(
        sink: consuming OwnedDescriptor, account: LaneAccount, room: RoomWait, order: LaneOrder,
        marks: Watermarks
    ) throws(Errno) {
        let capacity = try account.staging.pipeCapacity()
        let before = account.ledger.read()
        self.sink = sink
        self.account = account
        self.room = room
        shared = Mutex(
            Shared(
                machine: PumpStateMachine(
                    position: order.position, marks: marks, maximumSize: order.maximumSize,
                    stagingCapacity: capacity, stalledAfter: order.stalledAfterSeconds,
                    parkAfter: order.parkAfterSeconds, rate: order.rate, closuresBefore: before.gateClosures,
                    closedBefore: before.stalledNanoseconds, at: Monotonic.nanoseconds())))
    }

    /// Reads or changes what is known. `body` is called under the lock.
    func withMachine<Result>(_ body: (inout PumpStateMachine) -> Result) -> Result {
        shared.withLock { body(&$0.machine) }
    }

    /// Takes a chunk of the body, unless it has to be dropped.
    func take(_ chunk: Data) -> PumpStateMachine.Arrival {
        shared.withLock { shared in
            let now = Monotonic.nanoseconds()
            let closures = shared.machine.closures
            let arrival = shared.machine.arrives(chunk.count, at: now)
            guard case .keep = arrival else { return arrival }
            shared.chunks.append(chunk)
            account.ledger.setReceived(shared.machine.received)
            account.ledger.setBuffered(shared.machine.buffered)
            if shared.machine.closures != closures {
                account.ledger.gateClosed(closures: shared.machine.closures, at: now)
            }
            return arrival
        }
    }

    // MARK: For the thread that writes

    /// What that thread does next.
    enum Step {
        /// Write these bytes into the staging pipe, which is empty; `filled` have gone into it before.
        case fill(ChunkQueue.Batch, filled: Int)
        /// Pass at most this many bytes of the staging pipe on.
        case passOn(Int)
        case none
    }

    func nextStep(everything: Bool) -> Step {
        shared.withLock { shared in
            switch shared.machine.nextStep(everything: everything) {
            case .fill(let limit): .fill(shared.chunks.front(atMost: limit), filled: shared.machine.filled)
            case .passOn(let staged): .passOn(staged)
            case .none: .none
            }
        }
    }

    /// The first bytes have gone into the staging pipe.
    func hasFilled(_ bytes: Int) {
        shared.withLock { shared in
            shared.chunks.consume(bytes)
            shared.machine.fills(bytes, at: Monotonic.nanoseconds())
        }
    }

    /// Bytes of the staging pipe have been passed on.
    func hasPassedOn(_ bytes: Int, _ events: inout [PumpEvent]) {
        shared.withLock { shared in
            if shared.machine.passesOn(bytes, &events, at: Monotonic.nanoseconds()) {
                account.ledger.gateOpened(stalledNanoseconds: shared.machine.closedTime)
                if shared.machine.endsWait { room.end() }
            }
            account.ledger.setBuffered(shared.machine.buffered)
        }
    }

    /// Ends the body: bytes that wait are dropped, and those that come.
    ///
    /// - Returns: false if it had ended before.
    func end() -> Bool {
        shared.withLock { shared in
            guard !shared.machine.hasEnded else { return false }
            shared.chunks = ChunkQueue()
            if shared.machine.ends(at: Monotonic.nanoseconds()) {
                account.ledger.gateOpened(stalledNanoseconds: shared.machine.closedTime)
            }
            if shared.machine.endsWait { room.end() }
            return true
        }
    }
}
