internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// All jobs that the service knows: those that have not ended, and as many of the others as it may remember.
struct JobTable {
    private var jobs: [String: JobRecord] = [:]
    private var active: [UInt32: Int] = [:]
    /// The ended ones, the oldest first; those before `forgotten` are gone.
    private var ended: [String] = []
    private var forgotten = 0
    private var created = 0

    /// Jobs that have not ended.
    private(set) var activeCount = 0

    /// Of one user.
    func activeCount(of userID: UInt32) -> Int {
        active[userID] ?? 0
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
        active[job.owner.userID, default: 0] += 1
        activeCount += 1
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
    var allActive: [JobRecord] {
        jobs.values.filter { $0.machine.outcome == nil }
    }

    /// A job has ended: it is remembered until `limit` others have ended after it.
    mutating func ended(_ job: JobRecord, remember limit: Int) {
        active[job.owner.userID, default: 1] -= 1
        if active[job.owner.userID] == 0 { active[job.owner.userID] = nil }
        activeCount -= 1
        ended.append(job.id)
        while ended.count - forgotten > limit {
            jobs[ended[forgotten]] = nil
            forgotten += 1
        }
        if forgotten > 1024 {
            ended.removeFirst(forgotten)
            forgotten = 0
        }
    }
}
