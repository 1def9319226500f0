internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// All jobs that the service knows: those that have not ended, and as many of the others as it may remember.
struct JobTable {
    private var jobs: [String: JobRecord] = [:]
    private var active: [String: JobRecord] = [:]
    private var activeCounts: [UInt32: Int] = [:]
    /// The ended ones of each user, the oldest first.
    private var ended: [UInt32: FIFO<String>] = [:]
    private var created = 0

    /// Jobs that have not ended.
    var activeCount: Int { active.count }

    /// Of one user.
    func activeCount(of userID: UInt32) -> Int {
        activeCounts[userID] ?? 0
    }

    /// An id that no job has: 60 random bits, in letters and digits that cannot be mistaken for each other.
    func newID() -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz")
        while true {
            let id = String((0..<12).map { _ in digits[Int.random(in: 0..<32)] })
            if jobs[id] == nil { return id }
        }
    }

    mutating func insert(_ job: JobRecord) {
        jobs[job.id] = job
        job.sequence = created
        created += 1
        active[job.id] = job
        activeCounts[job.owner.userID, default: 0] += 1
    }

    /// The job of this id, if this user may know of it.
    func find(_ id: String, for userID: UInt32) -> JobRecord? {
        guard let job = jobs[id], userID == 0 || job.owner.userID == userID else { return nil }
        return job
    }

    /// What a user may see, the oldest first.
    func visible(to userID: UInt32) -> [JobRecord] {
        jobs.values.filter { userID == 0 || $0.owner.userID == userID }
            .sorted { $0.sequence < $1.sequence }
    }

    /// Those that have not ended.
    var allActive: [JobRecord] { Array(active.values) }

    /// A job that has not ended; who may know of it is for the caller to know.
    func findActive(_ id: String) -> JobRecord? { active[id] }

    /// Those of a user that have not ended, in no order.
    func active(visibleTo userID: UInt32) -> [JobRecord] {
        userID == 0 ? allActive : active.values.filter { $0.owner.userID == userID }
    }

    /// A job has ended: it is remembered until `limit` others of the same user have ended after it.
    mutating func ended(_ job: JobRecord, remember limit: Int) {
        let user = job.owner.userID
        active[job.id] = nil
        activeCounts[user, default: 1] -= 1
        if activeCounts[user] == 0 { activeCounts[user] = nil }
        ended[user, default: FIFO()].append(job.id)
        while let count = ended[user]?.count, count > limit, let oldest = ended[user]?.first {
            jobs[oldest] = nil
            ended[user]?.removeFirst()
        }
    }
}
