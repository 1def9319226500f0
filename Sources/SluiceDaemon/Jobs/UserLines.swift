internal import SluiceCore
internal import Unix

/// Jobs that wait for the same thing: those of each user in the order in which they came (`JobQueue.Standing`). Ended jobs
/// are passed over.
///
/// Belongs to the loop's thread.
struct UserLines {
    /// Where a job waits, ended or not.
    struct Standing {
        fileprivate(set) var place = JobQueue.Place.none
    }

    /// One user's jobs.
    private struct Line {
        var jobs = FIFO<JobRecord>()
        /// The number of ended jobs among them.
        var ended = 0
        var waiting: Int { jobs.count - ended }
    }

    /// The number of ended jobs that a line may hold before they are removed.
    private static let endedToBear = 64

    private var lines: [UInt32: Line] = [:]

    var isEmpty: Bool { lines.isEmpty }

    /// The number of waiting jobs of each user.
    var waiting: some Sequence<(user: UInt32, count: Int)> {
        lines.lazy.map { (user: $0.key, count: $0.value.waiting) }
    }

    /// The number of a user's waiting jobs.
    func waiting(of user: UInt32) -> Int { lines[user]?.waiting ?? 0 }

    /// The first job of a user that has not ended; nil if there is none. `removeFirst` takes it out.
    mutating func first(of user: UInt32) -> JobRecord? {
        while let job = lines[user]?.jobs.first {
            if job.machine.outcome == nil { return job }
            lines[user]?.jobs.removeFirst()
            lines[user]?.ended -= 1
            job.line.place = .none
        }
        lines[user] = nil
        return nil
    }

    /// Takes out the job that `first` returned.
    ///
    /// - Returns: whether other jobs of the user wait behind it.
    @discardableResult
    mutating func removeFirst(of user: UInt32) -> Bool {
        guard let job = lines[user]?.jobs.first else { return false }
        lines[user]?.jobs.removeFirst()
        job.line.place = .none
        if lines[user]?.jobs.first == nil { lines[user] = nil }
        return lines[user] != nil
    }

    /// Inserts a job in the order of the tickets.
    mutating func enter(_ job: JobRecord, at place: JobQueue.Place) {
        job.line.place = place
        let ticket = job.queue.ticket
        lines[job.owner.userID, default: Line()].jobs.insert(job) { $0.queue.ticket > ticket }
    }

    /// A job in here has ended. Ended jobs are removed from time to time, so that they do not pile up behind one that
    /// waits.
    mutating func hasEnded(_ job: JobRecord) {
        let user = job.owner.userID
        guard var line = lines[user] else { return }
        line.ended += 1
        if line.ended > Self.endedToBear, line.ended > line.jobs.count / 2 {
            line.jobs.removeAll { job in
                guard job.machine.outcome != nil else { return false }
                job.line.place = .none
                return true
            }
            line.ended = 0
        }
        lines[user] = line
    }

    /// Takes out all jobs, in no order.
    mutating func removeAll() -> [JobRecord] {
        let jobs = lines.values.flatMap { line in
            line.jobs.filter { job in
                job.line.place = .none
                return job.machine.outcome == nil
            }
        }
        lines = [:]
        return jobs
    }
}
