internal import CDispatchYield
internal import FoundationNetworking

/// Makes URLSession's busy queue yield periodically, so that the work that waits behind it does not pile up for the
/// length of a body. CDispatchYield.h explains what waits there.
///
/// Used on the session's thread only.
struct QueueYield {
    /// Chunks between two pauses: 1 MiB of a body, and about 100 KiB of waiting work.
    private static let interval = 64

    private var chunks = 0

    /// A chunk has been handled. Call it on the queue that libcurl runs on.
    mutating func countChunk(of session: URLSession) {
        chunks += 1
        guard chunks >= Self.interval else { return }
        chunks = 0
        // Unsafe but correct: only the block below uses the pointer, and it runs once.
        nonisolated(unsafe) let queue = cdispatch_suspend_current_queue()
        // The block runs on another queue of the session, so not before this queue has yielded and the waiting
        // cancellations have run.
        session.getAllTasks { _ in cdispatch_resume(queue) }
    }
}
