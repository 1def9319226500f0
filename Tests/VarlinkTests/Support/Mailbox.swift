import Dispatch
import Synchronization
import TestKit

/// Messages from one thread to another, which waits for them until a deadline.
final class Mailbox<Item: Sendable>: Sendable {
    struct TimedOut: Error {}

    private let items = Mutex<[Item]>([])
    private let count = DispatchSemaphore(value: 0)

    func put(_ item: Item) {
        items.withLock { $0.append(item) }
        count.signal()
    }

    func take() throws -> Item {
        let deadline = Deadline()
        while count.wait(timeout: .now() + .milliseconds(Int(deadline.milliseconds))) != .success {
            if deadline.hasPassed { throw TimedOut() }
        }
        return items.withLock { $0.removeFirst() }
    }

    var isEmpty: Bool { items.withLock { $0.isEmpty } }
}
