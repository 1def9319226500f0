internal import SluiceCore

/// Numbers of ended jobs by user or by host. Its size is bounded, although clients choose the names.
///
/// Up to `maximumNames` names have numbers of their own. Beyond that, a new name replaces the one that has been idle
/// longest, if it has been idle for `idleTime`; else the new name is counted under `other`. The numbers of a replaced
/// name are added to those of `other`, so the sums never fall.
///
/// Belongs to the loop's thread.
struct NameTally {
    /// The maximum number of names with numbers of their own.
    static let maximumNames = 100
    /// How long a name must be idle before a new one may replace it.
    static let idleTime = Duration.seconds(3600)
    /// The name for all other names. No user has it, because users are numbers. A host with this name counts as one of
    /// the others.
    static let other = "other"

    /// The numbers of ended jobs.
    struct Numbers: Equatable {
        var complete = 0
        var failed = 0
        var cancelled = 0
        /// The number of bytes that reached consumers.
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

    /// The numbers by name, in the order of the names. `other` comes last, if it has any.
    var rows: [(name: String, numbers: Numbers)] {
        let named = entries.sorted { $0.key < $1.key }.map { (name: $0.key, numbers: $0.value.numbers) }
        return others == Numbers() ? named : named + [(name: Self.other, numbers: others)]
    }

    /// Whether a name has numbers of its own.
    func knows(_ name: String) -> Bool { entries[name] != nil }

    /// Adds numbers to those of a name.
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
