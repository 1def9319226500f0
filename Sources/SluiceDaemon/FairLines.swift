internal import SluiceCore
internal import UnixSockets

/// Jobs that wait for the same thing: each user's in the order in which they came, the users by weight (`FairShare`), so
/// that one with a thousand jobs does not stand in front of one with a single one. Ended jobs are passed over.
///
/// Belongs to the loop's thread.
struct FairLines {
    /// One user's jobs.
    private struct Line {
        var jobs = FIFO<JobRecord>()
        /// Ended ones among them.
        var ended = 0
        var waiting: Int { jobs.count - ended }
    }

    /// As many ended jobs are borne in a line before they are looked for.
    private static let endedToBear = 64

    private var lines: [UInt32: Line] = [:]
    private var share = FairShare()

    /// Nobody waits, and nobody has what is waited for.
    var isUnused: Bool { lines.isEmpty && share.isEmpty }

    /// How many jobs of each user wait.
    var waiting: some Sequence<(user: UInt32, count: Int)> {
        lines.lazy.map { (user: $0.key, count: $0.value.waiting) }
    }

    /// How much of what is waited for a user has.
    func held(by user: UInt32) -> Int { share.held(by: user) }

    /// The job whose turn it is.
    ///
    /// - Parameter mayRun: whether a user who has so much may have more.
    mutating func next(mayRun: (_ user: UInt32, _ held: Int) -> Bool) -> JobRecord? {
        while let user = share.next(at: Monotonic.nanoseconds(), mayRun: mayRun) {
            if let job = first(of: user) { return job }
        }
        return nil
    }

    /// The first job of a user, which is taken out with `removeFirst`.
    mutating func first(of user: UInt32) -> JobRecord? {
        while let job = lines[user]?.jobs.first {
            if job.machine.outcome == nil { return job }
            lines[user]?.jobs.removeFirst()
            lines[user]?.ended -= 1
            job.place = .none
        }
        isEmpty(user)
        return nil
    }

    /// Takes out the job that `next` or `first` gave.
    mutating func removeFirst(of user: UInt32) {
        guard let job = lines[user]?.jobs.first else { return }
        lines[user]?.jobs.removeFirst()
        job.place = .none
        if lines[user]?.jobs.first == nil { isEmpty(user) }
    }

    /// At the end of its user's line, or at the head, for one that comes back.
    mutating func enter(_ job: JobRecord, atHead isFirst: Bool, weight: Int) {
        let user = job.owner.userID
        share.waits(user, weight: weight, at: Monotonic.nanoseconds())
        if isFirst {
            lines[user, default: Line()].jobs.prepend(job)
        } else {
            lines[user, default: Line()].jobs.append(job)
        }
    }

    /// A job in here has ended: it must not pile up with others behind one that waits.
    mutating func hasEnded(_ job: JobRecord) {
        let user = job.owner.userID
        guard var line = lines[user] else { return }
        line.ended += 1
        if line.ended > Self.endedToBear, line.ended > line.jobs.count / 2 {
            line.jobs.removeAll { job in
                guard job.machine.outcome != nil else { return false }
                job.place = .none
                return true
            }
            line.ended = 0
        }
        lines[user] = line
    }

    /// Takes out all jobs.
    mutating func removeAll() -> [JobRecord] {
        let jobs = lines.values.flatMap { line in
            line.jobs.filter { job in
                job.place = .none
                return job.machine.outcome == nil
            }
        }
        for user in Array(lines.keys) { isEmpty(user) }
        return jobs.sorted { $0.sequence < $1.sequence }
    }

    /// A user has one more of what is waited for.
    mutating func begins(_ user: UInt32) {
        share.begins(user, at: Monotonic.nanoseconds())
    }

    /// A user has one less.
    mutating func ends(_ user: UInt32) {
        share.ends(user, at: Monotonic.nanoseconds())
    }

    private mutating func isEmpty(_ user: UInt32) {
        lines[user] = nil
        share.stopsWaiting(user, at: Monotonic.nanoseconds())
    }
}
