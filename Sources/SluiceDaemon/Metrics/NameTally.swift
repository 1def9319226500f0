/// What became of jobs, by a name that users choose: of the user, of the host. It stays small however many names there are.
///
/// Up to `maximumNames` names are counted by themselves. Beyond that one of which nothing was heard for long makes room,
/// and where there is none the newcomer is counted under `other`, as those that have made room are: so the sums never fall.
///
/// Belongs to the loop's thread.
struct NameTally {
    /// As many names are told apart.
    static let maximumNames = 100
    /// Without anything new for so long a name may make room.
    static let idleTime = Duration.seconds(3600)
    /// The name for all others. No user has it, for users are numbers; a host of this name is one of the others.
    static let other = "other"

    /// Of ended jobs.
    struct Numbers: Equatable {
        var complete = 0
        var failed = 0
        var cancelled = 0
        /// Bytes that reached consumers.
        var delivered = 0

        mutating func add(_ more: Numbers) {
            complete += more.complete
            failed += more.failed
            cancelled += more.cancelled
            delivered = delivered.addingSaturated(more.delivered)
        }
    }

    private struct Entry {
        var numbers = Numbers()
        var lastUse: ContinuousClock.Instant
    }

    private var entries: [String: Entry] = [:]
    private var others = Numbers()

    /// What there is by name, in the order of the names, `other` last where there are any.
    var rows: [(name: String, numbers: Numbers)] {
        let named = entries.sorted { $0.key < $1.key }.map { (name: $0.key, numbers: $0.value.numbers) }
        return others == Numbers() ? named : named + [(name: Self.other, numbers: others)]
    }

    /// Whether a name is counted by itself.
    func knows(_ name: String) -> Bool { entries[name] != nil }

    /// Counts something of a name.
    mutating func add(_ numbers: Numbers, to name: String, at now: ContinuousClock.Instant) {
        guard name != Self.other, entries[name] != nil || makeRoom(at: now) else {
            return others.add(numbers)
        }
        entries[name, default: Entry(lastUse: now)].numbers.add(numbers)
        entries[name]?.lastUse = now
    }

    private mutating func makeRoom(at now: ContinuousClock.Instant) -> Bool {
        guard entries.count >= Self.maximumNames else { return true }
        guard let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }),
            now - oldest.value.lastUse > Self.idleTime
        else { return false }
        others.add(oldest.value.numbers)
        entries[oldest.key] = nil
        return true
    }
}
