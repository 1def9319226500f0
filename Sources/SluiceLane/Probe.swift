/// The queue on which URLSession's callbacks come.
protocol SessionQueue: Sendable {
    /// Runs `work` on the queue when its turn comes: behind a closed gate that is not before the gate opens.
    func whenIdle(_ work: @escaping @Sendable () -> Void)
}

extension LaneSession: SessionQueue {}

/// How a lane finds out whether it is alive when the daemon asks (`LaneCommand.probe`).
///
/// The loop's thread lives if it reads the question. The session's thread lives if its queue runs what is put on it: while
/// bytes come without a pause, after the next `QueueYield` at the latest. Behind a closed gate the session's thread waits
/// for the consumer, which can take days and is no fault.
enum Probe {
    /// Calls `answer`, at once or on the session's queue, or never, if the session hangs.
    ///
    /// - Parameter isOriginsTurn: the gate is open and the origin has not ended the body: the session has to be alive.
    static func run(
        isOriginsTurn: Bool, on queue: some SessionQueue, answer: @escaping @Sendable () -> Void
    ) {
        guard isOriginsTurn else { return answer() }
        queue.whenIdle(answer)
    }
}
