internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// A job that the service knows.
enum KnownJob {
    /// It has not ended.
    case active(JobRecord)
    /// It has: what is left of it is what can be told.
    case ended(Job)

    /// The job as others see it now.
    func snapshot() -> Job {
        switch self {
        case .active(let job): job.snapshot()
        case .ended(let job): job
        }
    }
}

/// All jobs that the service knows: those that have not ended, and as many of the others as it may remember.
struct JobTable {
    private struct Ended {
        var sequence: Int
        var job: Job
    }

    private var active: [String: JobRecord] = [:]
    private var activeCounts: [UInt32: Int] = [:]
    private var ended: [String: Ended] = [:]
    /// The ended ones of each user, the oldest first.
    private var endedOrder: [UInt32: FIFO<String>] = [:]
    private var created = 0

    /// Jobs that have not ended.
    var activeCount: Int { active.count }

    /// Of one user.
    func activeCount(of userID: UInt32) -> Int {
        activeCounts[userID] ?? 0
    }

    /// An id that no job has: 60 random bits, in letters and digits that cannot be mistaken for each other.
    func newID() -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        while true {
            // One question to the kernel for all of it: twelve times five bits.
            let bits = UInt64.random(in: 0 ... .max)
            let id = String(
                decoding: (0..<12).map { digits[Int(bits >> (5 * UInt64($0)) & 31)] }, as: UTF8.self)
            if active[id] == nil, ended[id] == nil { return id }
        }
    }

    mutating func insert(_ job: JobRecord) {
        job.sequence = created
        created += 1
        active[job.id] = job
        activeCounts[job.owner.userID, default: 0] += 1
    }

    /// The job of this id, if this user may know of it.
    func find(_ id: String, for userID: UInt32) -> KnownJob? {
        if let job = active[id] { return userID == 0 || job.owner.userID == userID ? .active(job) : nil }
        guard let job = ended[id]?.job else { return nil }
        return userID == 0 || job.userID == Int(userID) ? .ended(job) : nil
    }

    /// What a user may see, the oldest first.
    func visible(to userID: UInt32) -> [Job] {
        var jobs = active(visibleTo: userID).map { (sequence: $0.sequence, job: $0.snapshot()) }
        for entry in ended.values where userID == 0 || entry.job.userID == Int(userID) {
            jobs.append((entry.sequence, entry.job))
        }
        return jobs.sorted { $0.sequence < $1.sequence }.map(\.job)
    }

    /// What a user may see and has not ended, the oldest first.
    func visibleActive(to userID: UInt32) -> [Job] {
        active(visibleTo: userID).sorted { $0.sequence < $1.sequence }.map { $0.snapshot() }
    }

    /// Those that have not ended.
    var allActive: [JobRecord] { Array(active.values) }

    /// A job that has not ended; who may know of it is for the caller to know.
    func findActive(_ id: String) -> JobRecord? { active[id] }

    /// Whether a job of this id has ended.
    func hasEnded(_ id: String) -> Bool { ended[id] != nil }

    /// Those of a user that have not ended, in no order.
    func active(visibleTo userID: UInt32) -> [JobRecord] {
        userID == 0 ? allActive : active.values.filter { $0.owner.userID == userID }
    }

    /// A job has ended: it is remembered until `limit` others of the same user have ended after it.
    mutating func ended(_ job: JobRecord, as snapshot: Job, remember limit: Int) {
        let user = job.owner.userID
        active[job.id] = nil
        activeCounts[user, default: 1] -= 1
        if activeCounts[user] == 0 { activeCounts[user] = nil }
        remember(snapshot, sequence: job.sequence, limit: limit)
    }

    /// A job had ended before the service was started.
    mutating func remember(_ job: Job, limit: Int) {
        remember(job, sequence: created, limit: limit)
        created += 1
    }

    private mutating func remember(_ job: Job, sequence: Int, limit: Int) {
        // Our own user ids are 32 bits wide; a file may say anything.
        let user = UInt32(truncatingIfNeeded: job.userID)
        ended[job.id] = Ended(sequence: sequence, job: job)
        endedOrder[user, default: FIFO()].append(job.id)
        while let count = endedOrder[user]?.count, count > limit, let oldest = endedOrder[user]?.first {
            ended[oldest] = nil
            endedOrder[user]?.removeFirst()
        }
    }
}
