internal import Glibc
internal import SluiceCore

/// How many descriptors this process may have (RLIMIT_NOFILE, which `LimitNOFILE=` sets), and what they go to.
///
/// What would come over the limit is refused at the door, while there is still one to say so with. A client that is
/// accepted with the last descriptor, or a job that finds none in the middle of its work, would be worse off.
struct DescriptorBudget: Equatable {
    /// The loop's, the listeners', the log's, the libraries', those that a new lane needs for a moment,
    /// clients that were refused and have not heard it, and sockets that wait to be closed.
    static let forItself = 96
    /// The pipe's write end, the ledger, the staging pipe, the record, and one in spare.
    static let forJob = 5
    /// The control socket, the process, its numbers, its standard error, and the account that it has kept.
    static let forLane = 6

    /// What root may have beyond the limits: whoever has to look after the service gets in, whatever others do.
    static let reservedConnections = 32
    /// Jobs likewise.
    static let reservedJobs = 8
    private static let forRoot = reservedConnections + reservedJobs * forJob + forLane
    /// Where there are fewer descriptors than so many nothing is kept for root: that would be a third of them.
    private static let enoughForReserve = 1024

    /// What the kernel allows.
    let limit: Int

    /// Of this process, as it is now.
    static var current: DescriptorBudget {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return DescriptorBudget(limit: Int.max)
        }
        // RLIM_INFINITY is the largest number there is.
        return DescriptorBudget(limit: Int(clamping: limit.rlim_cur))
    }

    /// What clients' connections may have: what all jobs leave, or half where that is more. With all of it for connections
    /// no client could be given a job.
    func connections(_ settings: Settings) -> Int {
        let others = need(jobs: settings.limits.jobs, lanes: settings.lanes.maximum, connections: 0)
        return min(settings.limits.connections, max(1, limit / 2, limit - others))
    }

    /// What one user's connections may have: where there are fewer than the settings say, half of them stay for others.
    func connectionsPerUser(_ settings: Settings) -> Int {
        let all = connections(settings)
        let share = all < settings.limits.connections ? max(1, all / 2) : all
        return min(settings.limits.connectionsPerUser, share)
    }

    private func need(jobs: Int, lanes: Int, connections: Int) -> Int {
        jobs * Self.forJob + lanes * Self.forLane + connections + Self.forItself
            + (hasReserve ? Self.forRoot : 0)
    }

    /// Whether there is something for root alone.
    var hasReserve: Bool { limit >= Self.enoughForReserve }

    /// Whether there is room for so much, and for what is kept for root unless it is root who asks.
    func covers(jobs: Int, lanes: Int, connections: Int, isRoot: Bool = false) -> Bool {
        need(jobs: jobs, lanes: lanes, connections: connections)
            - (isRoot && hasReserve ? Self.forRoot : 0) <= limit
    }

    /// Whether there is room for all that the settings allow.
    func covers(_ settings: Settings) -> Bool {
        covers(
            jobs: settings.limits.jobs, lanes: settings.lanes.maximum,
            connections: settings.limits.connections)
    }
}
