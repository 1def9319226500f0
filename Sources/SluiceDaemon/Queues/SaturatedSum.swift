extension Int {
    /// The sum, or the largest `Int` where it would overflow, so that no number that a lane claims can trap the daemon.
    func addingSaturated(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
