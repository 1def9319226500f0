internal import SluiceCore
internal import SluiceInterface
internal import Unix

/// A job that the service knows.
enum KnownJob {
    /// The job has not ended.
    case active(JobRecord)
    /// The job has ended. Only its description is left.
    case ended(Job)

    /// The job as clients see it now.
    func snapshot() -> Job {
        switch self {
        case .active(let job): job.snapshot()
        case .ended(let job): job
        }
    }
}

/// All jobs that the service knows: those that have not ended, and the ended jobs that it remembers, up to a limit.
struct JobTable {
    /// A job's number among all jobs of this service, in the order in which they came.
    struct Number {
        fileprivate(set) var sequence = 0
    }

    /// The same of a job that may have ended.
    private struct Entry {
        var sequence: Int
        var id: String
    }

    /// The maximum size of the ended jobs of one user, in bytes. It applies besides the limit to their number, because
    /// a job's URL may be long.
    static let rememberedBytesPerUser = 4 << 20

    private var active: [String: JobRecord] = [:]
    private var activeCounts: [UInt32: Int] = [:]
    private var ended: [String: Job] = [:]
    /// The ended jobs of each user, the oldest first.
    private var endedOrder: [UInt32: FIFO<String>] = [:]
    private var endedBytes: [UInt32: Int] = [:]
    /// The jobs of each user by sequence number, among them some that have been forgotten.
    private var order: [UInt32: [Entry]] = [:]
    private var created = 0

    /// The number of jobs that have not ended.
    var activeCount: Int { active.count }

    /// The number of one user's jobs that have not ended.
    func activeCount(of userID: UInt32) -> Int {
        activeCounts[userID] ?? 0
    }

    /// The users who have jobs that have not ended.
    var owners: some Sequence<UInt32> { activeCounts.keys }

    /// An ID that no job has: 60 random bits, in letters and digits that cannot be mistaken for each other.
    func newID() -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        while true {
            // Ask the kernel once for all random bits: twelve times five.
            let bits = UInt64.random(in: 0 ... .max)
            let id = String(
                decoding: (0..<12).map { digits[Int(bits >> (5 * UInt64($0)) & 31)] }, as: UTF8.self)
            if active[id] == nil, ended[id] == nil { return id }
        }
    }

    mutating func insert(_ job: JobRecord) {
        job.number.sequence = created
        created += 1
        active[job.id] = job
        activeCounts[job.owner.userID, default: 0] += 1
        note(job.id, job.number.sequence, of: job.owner.userID)
    }

    /// Whether a text could be an ID. Looking up any other text may be very expensive, because Swift compares strings
    /// in a normal form.
    static func isID(_ text: String) -> Bool {
        text.utf8.count <= 32 && text.utf8.allSatisfy { $0 < 0x80 }
    }

    /// The job of this ID; nil if there is none or this user may not see it.
    func find(_ id: String, for userID: UInt32) -> KnownJob? {
        guard Self.isID(id) else { return nil }
        if let job = active[id] { return userID == 0 || job.owner.userID == userID ? .active(job) : nil }
        guard let job = ended[id] else { return nil }
        return userID == 0 || job.userID == Int(userID) ? .ended(job) : nil
    }

    /// A page of the jobs that a user may see, the oldest first.
    ///
    /// At most `maximumScan` jobs are looked at, however many there are.
    func page(_ selection: JobSelection) -> JobPage {
        var lines = Lines(
            selection.users(among: order.keys).map { user in
                let entries = order[user] ?? []
                return entries[Self.firstIndex(in: entries, after: selection.after)...]
            })
        var page = JobPage()
        var bytes = 0
        for _ in 0..<JobSelection.maximumScan {
            guard let entry = lines.oldest else {
                page.next = nil
                return page
            }
            guard page.jobs.count < selection.limit, bytes < JobSelection.maximumBytes else { return page }
            lines.removeOldest()
            page.next = entry.sequence
            guard let job = job(entry, selection) else { continue }
            bytes += job.weight
            page.jobs.append(job)
        }
        return page
    }

    /// The entries of several users, merged by sequence. Each step costs a bisection among the users.
    private struct Lines {
        /// In descending order of their first entries. None is empty.
        private var lines: [ArraySlice<Entry>]

        init(_ lines: [ArraySlice<Entry>]) {
            self.lines = lines.filter { !$0.isEmpty }.sorted { Self.first($0) > Self.first($1) }
        }

        var oldest: Entry? { lines.last?.first }

        mutating func removeOldest() {
            guard let line = lines.popLast()?.dropFirst(), !line.isEmpty else { return }
            var (low, high) = (0, lines.count)
            while low < high {
                let middle = (low + high) / 2
                if Self.first(lines[middle]) > Self.first(line) { low = middle + 1 } else { high = middle }
            }
            lines.insert(line, at: low)
        }

        private static func first(_ line: ArraySlice<Entry>) -> Int { line.first?.sequence ?? .max }
    }

    private func job(_ entry: Entry, _ selection: JobSelection) -> Job? {
        let job: Job
        if let record = active[entry.id] {
            if let states = selection.states, !states.contains(record.machine.publicState) { return nil }
            return record.snapshot()
        } else if !selection.activeOnly, let ended = ended[entry.id] {
            job = ended
        } else {
            return nil
        }
        return selection.states?.contains(job.state) ?? true ? job : nil
    }

    /// The index of the first entry behind a sequence number, found by bisection.
    private static func firstIndex(in entries: [Entry], after sequence: Int) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence <= sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Adds a job to the list of a user's jobs. Forgotten jobs stay in the list until they are half of it.
    private mutating func note(_ id: String, _ sequence: Int, of user: UInt32) {
        order[user, default: []].append(Entry(sequence: sequence, id: id))
        let known = activeCounts[user, default: 0] + (endedOrder[user]?.count ?? 0)
        if let count = order[user]?.count, count > 64 + 2 * known {
            order[user]?.removeAll { active[$0.id] == nil && ended[$0.id] == nil }
        }
    }

    /// The jobs that have not ended.
    var allActive: [JobRecord] { Array(active.values) }

    /// A job that has not ended. The caller must check who may see it.
    func findActive(_ id: String) -> JobRecord? { active[id] }

    /// Whether a job of this ID has ended and is remembered.
    func hasEnded(_ id: String) -> Bool { ended[id] != nil }

    /// The jobs that have not ended and that a user may see, in no order.
    func active(visibleTo userID: UInt32) -> [JobRecord] {
        userID == 0 ? allActive : active.values.filter { $0.owner.userID == userID }
    }

    /// A job has ended. It is remembered until `limit` other jobs of the same user have ended after it, or until their
    /// size exceeds `rememberedBytesPerUser`.
    mutating func ended(_ job: JobRecord, as snapshot: Job, remember limit: Int) {
        let user = job.owner.userID
        active[job.id] = nil
        activeCounts[user, default: 1] -= 1
        if activeCounts[user] == 0 { activeCounts[user] = nil }
        remember(snapshot, of: user, limit: limit)
    }

    /// Remembers a job that had ended before the service was started.
    mutating func remember(_ job: Job, limit: Int) {
        // User IDs have 32 bits, but a file may contain any number.
        let user = UInt32(truncatingIfNeeded: job.userID)
        let sequence = created
        created += 1
        remember(job, of: user, limit: limit)
        if ended[job.id] != nil { note(job.id, sequence, of: user) }
    }

    private mutating func remember(_ job: Job, of user: UInt32, limit: Int) {
        ended[job.id] = job
        endedOrder[user, default: FIFO()].append(job.id)
        endedBytes[user, default: 0] += job.weight
        while let count = endedOrder[user]?.count, let oldest = endedOrder[user]?.first,
            count > limit || endedBytes[user, default: 0] > Self.rememberedBytesPerUser
        {
            endedBytes[user, default: 0] -= ended.removeValue(forKey: oldest)?.weight ?? 0
            endedOrder[user]?.removeFirst()
        }
    }
}
