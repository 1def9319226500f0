extension FixedWidthInteger {
    /// The sum, or the largest or smallest value where the sum would overflow, so that no number that an origin or a lane
    /// claims can trap.
    public func addingSaturated(_ other: Self) -> Self {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
}
