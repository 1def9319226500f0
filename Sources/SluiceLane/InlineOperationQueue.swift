internal import Foundation

/// A delegate queue that runs every callback at once, on the thread that brings it.
///
/// URLSession hands each delegate callback to its queue as an operation. An ordinary queue makes that a hop to another
/// thread and an unbounded buffer: libcurl goes on receiving while the delegate is slow. Run in place, the callback is
/// part of libcurl's own write callback, and while it does not return, libcurl does not read, the TCP window closes
/// and the origin waits. That is the gate. `addOperation(_:)` is open API.
final class InlineOperationQueue: OperationQueue, @unchecked Sendable {
    // @unchecked: there is no state besides the superclass's, which is safe to share.

    override func addOperation(_ block: @escaping @Sendable () -> Void) {
        block()
    }
}
