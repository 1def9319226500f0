internal import SluiceCore
internal import UnixSockets

/// The jobs that wait for a lane: each user's in the order in which they came, and the users in turn, so that one with
/// a thousand jobs does not stand in front of one with a single one. Ended jobs are passed over. Belongs to the loop's
/// thread.
struct JobQueue {
    /// One user's jobs.
    private struct Line {
        var jobs = FIFO<JobRecord>()
        /// Ended ones among them.
        var ended = 0
    }

    /// As many ended jobs are borne in a line before they are looked for.
    private static let endedToBear = 64

    private var lines: [UInt32: Line] = [:]
    /// Users with a line, the one whose turn it is first.
    private var turns = FIFO<UInt32>()

    /// How many jobs still wait.
    private(set) var count = 0

    /// The job whose turn it is.
    mutating func next() -> JobRecord? {
        while let user = turns.first {
            while let job = lines[user]?.jobs.first {
                if job.machine.outcome == nil { return job }
                lines[user]?.jobs.removeFirst()
                lines[user]?.ended -= 1
                job.isInQueue = false
            }
            lines[user] = nil
            turns.removeFirst()
        }
        return nil
    }

    /// Has this user be the next, if it has a job that waits.
    mutating func prefer(_ user: UInt32) -> Bool {
        guard lines[user] != nil else { return false }
        turns.removeAll { $0 == user }
        turns.prepend(user)
        return next()?.owner.userID == user
    }

    /// Takes out the job that `next` gave; it is the next user's turn.
    mutating func removeNext() {
        guard let user = turns.first, let job = lines[user]?.jobs.first else { return }
        lines[user]?.jobs.removeFirst()
        job.isInQueue = false
        count -= 1
        turns.removeFirst()
        if lines[user]?.jobs.first == nil { lines[user] = nil } else { turns.append(user) }
    }

    /// At the end of its user's line.
    mutating func append(_ job: JobRecord) {
        enter(job) { $0.append(job) }
    }

    /// For one that comes back: at the head of its user's line.
    mutating func prepend(_ job: JobRecord) {
        enter(job) { $0.prepend(job) }
    }

    private mutating func enter(_ job: JobRecord, _ place: (inout FIFO<JobRecord>) -> Void) {
        let user = job.owner.userID
        if lines[user] == nil { turns.append(user) }
        place(&lines[user, default: Line()].jobs)
        job.isInQueue = true
        count += 1
    }

    /// A job has ended: if it is in here it must not pile up with others behind one that waits.
    mutating func hasEnded(_ job: JobRecord) {
        let user = job.owner.userID
        guard job.isInQueue, var line = lines[user] else { return }
        count -= 1
        line.ended += 1
        if line.ended > Self.endedToBear, line.ended > line.jobs.count / 2 {
            line.jobs.removeAll { job in
                guard job.machine.outcome != nil else { return false }
                job.isInQueue = false
                return true
            }
            line.ended = 0
        }
        lines[user] = line
    }

    /// Takes out all jobs.
    mutating func removeAll() -> [JobRecord] {
        defer { self = JobQueue() }
        return lines.values.flatMap { line in
            line.jobs.filter { job in
                job.isInQueue = false
                return job.machine.outcome == nil
            }
        }
    }
}
