/// How long connections may go on in one turn of the loop, while some wait for that. A step that takes longer is made up
/// for in the next turns: the loop does its other work, on which others wait, and turns at once where there is none.
struct TurnTime {
    static let ofTurn = Duration.milliseconds(2)
    /// No step counts for more than this: the clock goes on while the machine sleeps or the process is stopped.
    static let mostDebt = Duration.milliseconds(50)

    /// Less than nothing after a step that took too long.
    private var left = Duration.zero

    mutating func begin() { left = min(left, .zero) + Self.ofTurn }

    /// Whether another step may begin in this turn.
    func allows(after spent: Duration) -> Bool { spent < left }

    /// - Parameter isLineEmpty: no connection waits, so there is nothing to make up for.
    mutating func end(after spent: Duration, isLineEmpty: Bool) {
        left = isLineEmpty ? .zero : max(left - spent, .zero - Self.mostDebt)
    }
}
