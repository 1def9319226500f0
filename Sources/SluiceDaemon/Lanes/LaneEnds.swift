internal import Unix

/// A lane's ends of what connects it with the daemon.
struct LaneEnds: ~Copyable {
    /// Becomes the lane's descriptor 3.
    let control: OwnedDescriptor
    /// Becomes its standard error.
    let words: OwnedDescriptor
}
