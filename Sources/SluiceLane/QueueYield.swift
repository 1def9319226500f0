internal import CDispatchYield
internal import FoundationNetworking

/// Makes URLSession's busy queue step aside now and then, so that what waits behind it is not kept for the length of a
/// body; the C target says what that is.
///
/// Used by the session's thread alone.
struct QueueYield {
    /// Chunks between two pauses: 1 MiB of a body, and some 100 KiB of what waits.
    private static let interval = 64

    private var chunks = 0

    /// A chunk has been dealt with, on the queue that libcurl runs on.
    mutating func countChunk(of session: URLSession) {
        chunks += 1
        guard chunks >= Self.interval else { return }
        chunks = 0
        // Only passed on to the block below, which gives it back.
        nonisolated(unsafe) let queue = cdispatch_suspend_current_queue()
        // Runs on the queue behind, and so not before this one has stepped aside and the cancellations had their turn.
        session.getAllTasks { _ in cdispatch_resume(queue) }
    }
}
