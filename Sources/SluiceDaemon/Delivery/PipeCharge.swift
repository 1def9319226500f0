/// What the budget of pipe buffers counts for one job. `PipeRegister` changes it.
struct PipeCharge {
    /// In bytes.
    private(set) var bytes = 0

    mutating func add(_ bytes: Int) { self.bytes += bytes }

    mutating func set(_ bytes: Int) { self.bytes = bytes }
}
