internal import SluiceCore
internal import Unix

/// The jobs that wait for a lane. Each user's jobs keep the order in which they came. The users take turns by weight
/// (`FairShare`), so that a user with a thousand jobs does not delay a user with a single one.
///
/// A host for which the settings limit the number of jobs has slots, one for each job that runs there. If a job's turn
/// comes while its host has no free slot, or is closed for now, the job steps aside, so that it does not delay its
/// user's other jobs. As soon as the host has a slot, the first waiting job of each user goes back to its place in the
/// queue. A job holds a slot only while it has a lane.
///
/// Belongs to the loop's thread.
struct JobQueue {
    /// Where a job waits.
    enum Place: Equatable {
        case none
        /// It waits for a lane.
        case queue
        /// It waits for this host.
        case host(String)
    }

    /// What the queue knows of a job.
    struct Standing {
        /// Its place among all; 0 before it had one.
        fileprivate(set) var ticket = 0
        /// The host that it waits for, where that has slots.
        fileprivate(set) var limitedHost: String?
        /// The host at which it has a slot.
        fileprivate(set) var slot: String?
    }

    /// The rules that the settings make.
    struct Rules {
        /// The weight of a user.
        var weight: (UInt32) -> Int = { _ in 1 }
        /// How many lanes a user may have.
        var lanes: (UInt32) -> Int = { _ in .max }
        /// How many slots a host has; nil for a host without limits.
        var slots: (String) -> Int? = { _ in nil }
        /// Whether a user's jobs may begin just now.
        var mayBegin: (UInt32) -> Bool = { _ in true }
        /// Whether jobs may begin at a host just now. If not, `hostIsOpen` must be called once they may.
        var isOpen: (String) -> Bool = { _ in true }
    }

    private struct Host {
        /// Jobs that run there.
        var used = 0
        /// Jobs that wait for it in the queue.
        var queued = 0
        /// Jobs for it that have stepped aside.
        var waiting = UserLines()
    }

    var rules = Rules()
    private var lines = UserLines()
    private var share = FairShare()
    private var hosts: [String: Host] = [:]
    /// How many jobs of each user have stepped aside.
    private var aside: [UInt32: Int] = [:]
    private var lastTicket = 0
    private let clock: () -> UInt64

    /// - Parameter clock: any monotonic clock, in nanoseconds.
    init(clock: @escaping () -> UInt64 = Monotonic.nanoseconds) {
        self.clock = clock
    }

    /// The number of jobs that could run if there were enough lanes.
    var runnable: Int {
        var sum = 0
        for line in lines.waiting { sum += runnable(line.count, of: line.user) }
        for (name, host) in hosts where host.queued > 0 {
            sum -= max(0, host.queued - max(0, (rules.slots(name) ?? .max) - host.used))
        }
        return max(0, sum)
    }

    /// The number of a user's jobs that could run if there were enough lanes. Hosts with limits may reduce it further.
    func runnable(of user: UInt32) -> Int { runnable(lines.waiting(of: user), of: user) }

    private func runnable(_ count: Int, of user: UInt32) -> Int {
        rules.mayBegin(user) ? min(count, max(0, rules.lanes(user) - share.lanes(of: user))) : 0
    }

    /// The job whose turn it is; nil if there is none.
    ///
    /// - Parameter passed: users to skip, because there is no lane for them just now.
    mutating func next(but passed: Set<UInt32> = []) -> JobRecord? {
        let rules = rules
        while let user = share.next(
            at: clock(), but: passed, mayRun: { $1 < rules.lanes($0) && rules.mayBegin($0) })
        {
            guard let job = lines.first(of: user) else {
                stopsWaiting(user)
                continue
            }
            guard let host = job.queue.limitedHost, !hasSlot(host) else { return job }
            stepAside(job, for: host)
        }
        return nil
    }

    /// The first job of a user, even if it is another user's turn.
    mutating func first(of user: UInt32) -> JobRecord? {
        while let job = lines.first(of: user) {
            guard let host = job.queue.limitedHost, !hasSlot(host) else { return job }
            stepAside(job, for: host)
        }
        return nil
    }

    /// Takes out the job that `next` or `first` returned. It has a lane from now on, until `isOver` is called.
    mutating func begin(_ job: JobRecord) {
        removeFirst(of: job.owner.userID)
        share.begins(job.owner.userID, at: clock())
        guard let host = job.queue.limitedHost else { return }
        job.queue.slot = host
        hosts[host, default: Host()].used += 1
        readmit(at: host)
    }

    /// The job has no lane any more.
    mutating func isOver(_ job: JobRecord) {
        share.ends(job.owner.userID, at: clock())
        guard let host = job.queue.slot else { return }
        job.queue.slot = nil
        hosts[host]?.used -= 1
        readmit(at: host)
    }

    /// Puts a job into the queue, or lets it wait for its host.
    ///
    /// - Parameter isBack: the job gets its old place again, because it lost its lane through no fault of its own.
    mutating func enter(_ job: JobRecord, isBack: Bool = false) {
        if !isBack || job.queue.ticket == 0 {
            lastTicket += 1
            job.queue.ticket = lastTicket
        }
        let host = Settings.Origins.normal(job.origin.host)
        job.queue.limitedHost = rules.slots(host) == nil ? nil : host
        // The job gets its turn as soon as another job gives a slot back.
        if let host = job.queue.limitedHost, let known = hosts[host], known.used >= rules.slots(host) ?? .max
        {
            let user = job.owner.userID
            aside[user, default: 0] += 1
            wait(job, for: host)
            if lines.first(of: user) == nil { stopsWaiting(user) }
        } else {
            queue(job)
        }
    }

    /// A job has ended, whether it is in the queue or not.
    mutating func hasEnded(_ job: JobRecord) {
        switch job.line.place {
        case .none: break
        case .queue:
            lines.hasEnded(job)
            guard let host = job.queue.limitedHost else { return }
            leftQueue(host)
            // The job had been readmitted on behalf of those that wait behind it, so let one of them take its place.
            readmit(at: host)
        case .host(let host):
            hosts[host]?.waiting.hasEnded(job)
            leftHost(job)
        }
    }

    /// Jobs may begin at this host again.
    mutating func hostIsOpen(_ host: String) {
        readmit(at: host)
    }

    /// Takes out all jobs, in their order.
    ///
    /// - Parameter running: the jobs that have lanes. They get slots according to the current rules.
    mutating func removeAll(running: some Sequence<JobRecord>) -> [JobRecord] {
        var jobs = lines.removeAll()
        for host in Array(hosts.keys) { jobs += hosts[host]?.waiting.removeAll() ?? [] }
        aside = [:]
        for user in Set(jobs.map(\.owner.userID)) { stopsWaiting(user) }
        hosts = [:]
        for job in running {
            let host = Settings.Origins.normal(job.origin.host)
            job.queue.slot = rules.slots(host) == nil ? nil : host
            if let slot = job.queue.slot { hosts[slot, default: Host()].used += 1 }
        }
        return jobs.sorted { $0.queue.ticket < $1.queue.ticket }
    }

    // MARK: Inside

    private mutating func queue(_ job: JobRecord) {
        lines.enter(job, at: .queue)
        share.waits(job.owner.userID, weight: rules.weight(job.owner.userID), at: clock())
        if let host = job.queue.limitedHost { hosts[host, default: Host()].queued += 1 }
    }

    private mutating func removeFirst(of user: UInt32) {
        if let host = lines.first(of: user)?.queue.limitedHost { leftQueue(host) }
        if !lines.removeFirst(of: user) { stopsWaiting(user) }
    }

    private mutating func stopsWaiting(_ user: UInt32) {
        share.stopsWaiting(user, isAside: aside[user] != nil, at: clock())
    }

    private mutating func stepAside(_ job: JobRecord, for host: String) {
        // Count the job first: then the user keeps the place among the others while the job is aside.
        aside[job.owner.userID, default: 0] += 1
        removeFirst(of: job.owner.userID)
        wait(job, for: host)
    }

    /// A job does not wait for a host any more.
    private mutating func leftHost(_ job: JobRecord) {
        let user = job.owner.userID
        let left = (aside[user] ?? 1) - 1
        aside[user] = left > 0 ? left : nil
        if left <= 0, job.machine.outcome != nil, lines.first(of: user) == nil { stopsWaiting(user) }
    }

    private mutating func leftQueue(_ host: String) {
        hosts[host]?.queued -= 1
    }

    private mutating func wait(_ job: JobRecord, for host: String) {
        hosts[host, default: Host()].waiting.enter(job, at: .host(host))
    }

    private func hasSlot(_ host: String) -> Bool {
        (hosts[host]?.used ?? 0) < rules.slots(host) ?? .max && rules.isOpen(host)
    }

    /// If a host has a slot, puts the first job of each user that waits for the host back into the queue.
    private mutating func readmit(at host: String) {
        guard let known = hosts[host] else { return }
        if !known.waiting.isEmpty, hasSlot(host) {
            for user in Array(known.waiting.waiting.map(\.user)) {
                guard let job = hosts[host]?.waiting.first(of: user) else { continue }
                hosts[host]?.waiting.removeFirst(of: user)
                leftHost(job)
                queue(job)
            }
        }
        if let left = hosts[host], left.used <= 0, left.queued <= 0, left.waiting.isEmpty {
            hosts[host] = nil
        }
    }
}
