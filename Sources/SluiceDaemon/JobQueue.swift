internal import SluiceCore

/// The jobs that wait for a lane, the oldest first; ended ones among them are passed over. Belongs to the loop's thread.
struct JobQueue {
    /// As many ended jobs are borne before they are looked for.
    private static let endedToBear = 64

    private var jobs = FIFO<JobRecord>()
    private var ended = 0

    /// How many still wait.
    var count: Int { jobs.count - ended }

    /// The job whose turn it is.
    mutating func next() -> JobRecord? {
        while let job = jobs.first {
            if job.machine.outcome == nil { return job }
            jobs.removeFirst()
            ended -= 1
        }
        return nil
    }

    /// Takes out the job that `next` gave.
    mutating func removeNext() {
        jobs.first?.isInQueue = false
        jobs.removeFirst()
    }

    mutating func append(_ job: JobRecord) {
        job.isInQueue = true
        jobs.append(job)
    }

    /// For one that comes back.
    mutating func prepend(_ job: JobRecord) {
        job.isInQueue = true
        jobs.prepend(job)
    }

    /// A job has ended: if it is in here it must not pile up with others behind one that waits.
    mutating func hasEnded(_ job: JobRecord) {
        guard job.isInQueue else { return }
        ended += 1
        guard ended > Self.endedToBear, ended > jobs.count / 2 else { return }
        jobs.removeAll { $0.machine.outcome != nil }
        ended = 0
    }

    /// Takes out all jobs.
    mutating func removeAll() -> [JobRecord] {
        defer { self = JobQueue() }
        return jobs.filter { job in
            job.isInQueue = false
            return job.machine.outcome == nil
        }
    }
}
