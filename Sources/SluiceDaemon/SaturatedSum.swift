extension Int {
    /// The sum, or the largest number there is: what lanes claim must not stop the service.
    func addingSaturated(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
