/// What is logged about lanes.
protocol LaneLog {
    func laneStarted(_ processID: Int32)
    func laneCannotStart(_ reason: String)
    /// No lane could be started for so long that jobs fail.
    func lanesUnavailable(_ reason: String)
    /// Lanes are started as programs until another nursery runs.
    func nurseryFailed(_ reason: String)
    /// - Parameter missing: what the kernel does not offer.
    func lanesLessConfined(_ missing: [String])
    /// A lane has written a line to its standard error.
    func laneSays(_ processID: Int32, _ line: String)
}
