internal import SluiceCore
internal import UnixSockets

/// The jobs that wait for a lane.
///
/// Whose host may be asked only so much at a time wait in a line for that host first, and do not stand in the way of their
/// users' other jobs meanwhile. Who is let out of it has a place at the host, a slot, until the attempt is over.
///
/// Belongs to the loop's thread.
struct JobQueue {
    /// Where a job waits.
    enum Place: Equatable {
        case none
        /// For a lane.
        case queue
        /// For a slot of this host.
        case host(String)
    }

    /// What the settings say.
    struct Rules {
        /// Of a user.
        var weight: (UInt32) -> Int = { _ in 1 }
        /// How many lanes a user may have.
        var lanes: (UInt32) -> Int = { _ in .max }
        /// How many slots a host has; nil for a host without limits.
        var slots: (String) -> Int? = { _ in nil }
        /// Whether a user's jobs may begin just now.
        var mayBegin: (UInt32) -> Bool = { _ in true }
        /// Whether jobs may begin at a host just now; where not, `hostIsOpen` is to follow.
        var isOpen: (String) -> Bool = { _ in true }
    }

    private struct Host {
        var lines = FairLines()
        var used = 0
    }

    var rules = Rules()
    private var lines = FairLines()
    private var hosts: [String: Host] = [:]

    /// How many jobs could run if there were lanes enough.
    var runnable: Int {
        lines.waiting.reduce(0) { sum, line in
            let room = max(0, rules.lanes(line.user) - lines.held(by: line.user))
            return sum + min(line.count, room)
        }
    }

    /// The job whose turn it is.
    mutating func next() -> JobRecord? {
        let rules = rules
        while let job = lines.next(mayRun: { $1 < rules.lanes($0) && rules.mayBegin($0) }) {
            guard let host = job.slot, !rules.isOpen(host) else { return job }
            lines.removeFirst(of: job.owner.userID)
            giveUpSlot(job)
            wait(job, for: host, atHead: true)
        }
        return nil
    }

    /// The first job of a user, whoever's turn it is.
    mutating func first(of user: UInt32) -> JobRecord? {
        lines.first(of: user)
    }

    /// Takes out the job that `next` or `first` gave: it has a lane now, until `isOver`.
    mutating func begin(_ job: JobRecord) {
        lines.removeFirst(of: job.owner.userID)
        lines.begins(job.owner.userID)
    }

    /// The job has no lane any more.
    mutating func isOver(_ job: JobRecord) {
        lines.ends(job.owner.userID)
        leaveHost(job)
    }

    /// - Parameter isFirst: for one that comes back: at the head of its user's line.
    mutating func enter(_ job: JobRecord, atHead isFirst: Bool = false) {
        let host = job.origin.host
        if job.slot == nil, let slots = rules.slots(host) {
            guard hosts[host, default: Host()].used < slots else {
                return wait(job, for: host, atHead: isFirst)
            }
            takeSlot(job, at: host)
        }
        job.place = .queue
        lines.enter(job, atHead: isFirst, weight: rules.weight(job.owner.userID))
    }

    /// A job has ended, in here or not.
    mutating func hasEnded(_ job: JobRecord) {
        switch job.place {
        case .none: break
        case .queue:
            lines.hasEnded(job)
            leaveHost(job)
        case .host(let host): hosts[host]?.lines.hasEnded(job)
        }
    }

    /// Jobs may begin at this host again.
    mutating func hostIsOpen(_ host: String) {
        admitMore(to: host)
    }

    /// Takes out all jobs.
    ///
    /// - Parameter running: those that have lanes: they keep the slots that they are to have by the rules as they are now.
    mutating func removeAll(running: some Sequence<JobRecord>) -> [JobRecord] {
        var jobs = lines.removeAll()
        for host in Array(hosts.keys) { jobs += hosts[host]?.lines.removeAll() ?? [] }
        for job in jobs { job.slot = nil }
        hosts = [:]
        for job in running {
            job.slot = nil
            if rules.slots(job.origin.host) != nil { takeSlot(job, at: job.origin.host) }
        }
        return jobs.sorted { $0.sequence < $1.sequence }
    }

    // MARK: Hosts

    private mutating func wait(_ job: JobRecord, for host: String, atHead isFirst: Bool) {
        job.place = .host(host)
        hosts[host, default: Host()].lines.enter(
            job, atHead: isFirst, weight: rules.weight(job.owner.userID))
    }

    private mutating func takeSlot(_ job: JobRecord, at host: String) {
        job.slot = host
        hosts[host, default: Host()].used += 1
        hosts[host]?.lines.begins(job.owner.userID)
    }

    private mutating func giveUpSlot(_ job: JobRecord) {
        guard let host = job.slot else { return }
        job.slot = nil
        hosts[host]?.used -= 1
        hosts[host]?.lines.ends(job.owner.userID)
    }

    private mutating func leaveHost(_ job: JobRecord) {
        guard let host = job.slot else { return }
        giveUpSlot(job)
        admitMore(to: host)
    }

    private mutating func admitMore(to host: String) {
        let slots = rules.slots(host) ?? .max
        while let used = hosts[host]?.used, used < slots, rules.isOpen(host),
            let job = hosts[host]?.lines.next(mayRun: { _, _ in true })
        {
            hosts[host]?.lines.removeFirst(of: job.owner.userID)
            takeSlot(job, at: host)
            job.place = .queue
            // It has waited, and a slot is not to wait for what its user has besides.
            lines.enter(job, atHead: true, weight: rules.weight(job.owner.userID))
        }
        if let left = hosts[host], left.used == 0, left.lines.isUnused { hosts[host] = nil }
    }
}
