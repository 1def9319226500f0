internal import Foundation

/// A delegate queue that runs every callback at once, on the thread that adds it.
///
/// URLSession hands each delegate callback to its queue as an operation. An ordinary queue makes that a hop to another
/// thread and an unbounded buffer: libcurl goes on receiving while the delegate is slow. This queue runs the callback
/// in place, within libcurl's own write callback. While the callback does not return, libcurl does not read, the TCP
/// window closes, and the origin waits. That is the gate. `addOperation(_:)` is open API.
final class InlineOperationQueue: OperationQueue, @unchecked Sendable {
    // @unchecked: this class adds no state to OperationQueue, which is thread-safe.

    override func addOperation(_ block: @escaping @Sendable () -> Void) {
        block()
    }
}
