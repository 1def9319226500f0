internal import Glibc
internal import SluiceCore

/// How many descriptors this process may have (RLIMIT_NOFILE, which `LimitNOFILE=` sets), and how they are shared out.
///
/// The daemon refuses a client or a job that would exceed the limit at once, while it still has a descriptor to send
/// the refusal through. A client accepted with the last descriptor, or a job that runs out of them in the middle of its
/// work, would be worse off.
struct DescriptorBudget: Equatable {
    /// Descriptors of the loop, the listeners, the log and the libraries; those that a new lane needs for a moment;
    /// those of refused clients that have not yet received the refusal; and sockets that wait to be closed.
    static let forItself = 96
    /// Descriptors of one job: the pipe's write end, the ledger, the staging pipe, the record, and a spare one.
    static let forJob = 5
    /// Descriptors of one lane: the control socket, the pidfd, its numbers in `/proc`, its standard error, and the
    /// account (two descriptors) that it has kept.
    static let forLane = 6

    /// Connections that root may have beyond the limits, so that the administrator always gets in.
    static let reservedConnections = 32
    /// Jobs that root may have beyond the limits, for the same reason.
    static let reservedJobs = 8
    private static let forRoot = reservedConnections + reservedJobs * forJob + forLane
    /// With fewer descriptors than this nothing is reserved for root, because the reserve would take too large a share:
    /// almost a third of 256.
    private static let enoughForReserve = 1024

    /// The number of descriptors that the kernel allows.
    let limit: Int

    /// The budget of this process as of now.
    static var current: DescriptorBudget {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return DescriptorBudget(limit: Int.max)
        }
        // RLIM_INFINITY is the largest number there is.
        return DescriptorBudget(limit: Int(clamping: limit.rlim_cur))
    }

    /// Descriptors available to clients' connections: what all jobs and lanes leave, but at least half of the limit.
    /// Were all of them available to connections, no client could be given a job.
    func connections(_ settings: Settings) -> Int {
        let others = need(jobs: settings.limits.jobs, lanes: settings.lanes.maximum, connections: 0)
        return min(settings.limits.connections, max(1, limit / 2, limit - others))
    }

    /// Descriptors available to one user's connections. Where there are fewer for all connections than the settings
    /// allow, one user gets at most half of them.
    func connectionsPerUser(_ settings: Settings) -> Int {
        let all = connections(settings)
        let share = all < settings.limits.connections ? max(1, all / 2) : all
        return min(settings.limits.connectionsPerUser, share)
    }

    private func need(jobs: Int, lanes: Int, connections: Int) -> Int {
        jobs * Self.forJob + lanes * Self.forLane + connections + Self.forItself
            + (hasReserve ? Self.forRoot : 0)
    }

    /// Whether some descriptors are reserved for root.
    var hasReserve: Bool { limit >= Self.enoughForReserve }

    /// Whether there is room for these jobs, lanes and connections, and, unless root asks, for root's reserve as well.
    func covers(jobs: Int, lanes: Int, connections: Int, isRoot: Bool = false) -> Bool {
        need(jobs: jobs, lanes: lanes, connections: connections)
            - (isRoot && hasReserve ? Self.forRoot : 0) <= limit
    }

    /// Whether there is room for everything that the settings allow.
    func covers(_ settings: Settings) -> Bool {
        covers(
            jobs: settings.limits.jobs, lanes: settings.lanes.maximum,
            connections: settings.limits.connections)
    }
}
