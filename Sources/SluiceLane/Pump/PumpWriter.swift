internal import EventLoop
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// Writes a pump's bytes: the system calls of a fill and of passing on. The thread that holds the lock in `Pump` is the only
/// one that writes, which keeps the bytes in order. None of the calls waits, because both pipes are non-blocking.
struct PumpWriter: Sendable {
    private let content: PumpContent
    /// What has happened since the events were last taken. They are sent when the lock is released.
    private var events: [PumpEvent] = []

    init(_ content: PumpContent) {
        self.content = content
    }

    mutating func takeEvents() -> [PumpEvent] {
        defer { events = [] }
        return events
    }

    /// Writes until the consumer's pipe is full or nothing is left to write.
    ///
    /// - Parameter everything: false to leave bytes that do not make a full write.
    mutating func push(everything: Bool) {
        content.withMachine { $0.beginsToWrite() }
        while true {
            switch content.nextStep(everything: everything) {
            case .fill(let batch, let filled): fill(batch, filled: filled)
            case .passOn(let staged): guard passOn(staged) else { return }
            case .none: return
            }
        }
    }

    /// Writes everything that the consumer takes. While the gate is closed only the session's thread does that. If the
    /// origin has ended and nothing is left, the body ends.
    mutating func pushAll() {
        let (isDraining, isClosed) = content.withMachine { ($0.isDraining, $0.isGateClosed) }
        guard isDraining || !isClosed else { return }
        push(everything: true)
        if content.withMachine({ $0.isDrained }) { end(with: .drained) }
    }

    /// Asks for ticks if bytes are left that neither a tick nor a watch would find.
    mutating func startTickingIfNeeded() {
        if content.withMachine({ $0.startsTicking() }) { events.append(.startTicking) }
    }

    /// Moves bytes from the staging pipe to the consumer. Returns false if nothing more can be moved now.
    private mutating func passOn(_ staged: Int) -> Bool {
        do {
            let moved = try Splice.move(from: content.account.staging, to: content.sink, count: staged)
            content.hasPassedOn(moved, &events)
            return true
        } catch .wouldBlock {
            content.withMachine { $0.isFull() }
            return false
        } catch {
            // EPIPE: the reader has gone. Any other error means that the consumer's end is unusable, which has the same
            // consequence.
            end(with: .consumerGone)
            return false
        }
    }

    /// Writes bytes into the staging pipe, which is empty.
    private mutating func fill(_ batch: ChunkQueue.Batch, filled: Int) {
        let ledger = content.account.ledger
        ledger.beginFill(filled: filled)
        do {
            let count = try batch.write(to: content.account.staging)
            ledger.endFill(filled: filled + count)
            content.hasFilled(count)
        } catch {
            // An empty staging pipe takes at least a page. If it does not, nothing can be delivered any more.
            ledger.endFill(filled: filled)
            end(with: .stagingFailed)
        }
    }

    private mutating func end(with event: PumpEvent) {
        if content.end() { events.append(event) }
    }
}
