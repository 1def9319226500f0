internal import LaneProtocol

/// The queue on which URLSession's callbacks come.
protocol SessionQueue: Sendable {
    /// Runs `work` on the queue when its turn comes. While the gate is closed, that is not before the gate opens.
    func whenIdle(_ work: @escaping @Sendable () -> Void)
}

extension LaneSession: SessionQueue {}

/// How a lane checks that it is alive when the daemon asks (`LaneCommand.probe`).
///
/// The loop's thread is alive if it reads the question. The session's thread is alive if its queue runs new work. While
/// bytes come without a pause, the queue runs it after the next `QueueYield` at the latest. While the gate is closed,
/// the session's thread waits for the consumer, which can take days and is not a fault.
enum Probe {
    /// Calls `answer` at once or on the session's queue; never, if the session hangs.
    ///
    /// - Parameter isOriginsTurn: the gate is open and the origin has not ended the body, so the session must respond.
    static func run(
        isOriginsTurn: Bool, on queue: some SessionQueue, answer: @escaping @Sendable () -> Void
    ) {
        guard isOriginsTurn else { return answer() }
        queue.whenIdle(answer)
    }
}
