internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Unix

/// The limits of users and of hosts.
extension Scheduler {
    /// Puts a job into the queue as soon as the rules for its user are known.
    func admit(_ job: JobRecord) {
        job.assignment.wantsLane = false
        users.whenKnown(job.owner.userID) { [weak self] in
            guard let self, job.machine.outcome == nil else { return }
            // A user who cannot be looked up is not denied: jobs that were accepted go on.
            guard !users.isDenied(job.owner.userID) else {
                return end(job, Self.notAllowed(job.owner.userID))
            }
            putIntoQueue(job)
            dispatch()
        }
    }

    /// Makes the queue follow the settings.
    func setRules() {
        let (users, rates, origins) = (users, rates, settings.origins)
        let lanes = settings.lanes.maximum
        queue.rules.weight = { users.share(for: $0).weight }
        queue.rules.lanes = { users.share(for: $0).lanes ?? .max }
        queue.rules.mayBegin = { rates.mayBegin($0) }
        queue.rules.isOpen = { rates.isOpen($0) }
        queue.rules.slots = { host in
            guard !origins.isEmpty else { return nil }
            let limits = origins.limits(for: host)
            if let connections = limits.connections, connections > 0 { return connections }
            // Jobs at a host with a rate limit wait for the host, so that they do not delay other jobs.
            return limits.rate ?? 0 > 0 ? lanes : nil
        }
        rates.onRoom = { [weak self] in self?.dispatch() }
        rates.onRoomAtHost = { [weak self] in self?.queue.hostIsOpen($0) }
    }

    /// A user has been looked up, and the user's limits may have changed.
    func userIsKnown() {
        rates.apply(settings, running: running.values)
        dispatch()
    }

    /// A lane has nothing to do with the job any more.
    func hasLeftLane(_ job: JobRecord) {
        rates.ends(job)
        queue.isOver(job)
    }

    /// Keeps the number of idle connections to a host within its limit.
    ///
    /// - Returns: whether the lane must drop the connections that it has kept, because its last job asked another host
    ///   that has such a limit.
    func closeConnections(of lane: Lane, for job: JobRecord) -> Bool {
        guard !settings.origins.isEmpty else { return false }
        let host = Settings.Origins.normal(job.origin.host)
        if let most = settings.origins.limits(for: host).connections, most > 0 {
            pool.closeIdle(to: host, beyond: most)
        }
        guard let before = lane.originBefore.map({ Settings.Origins.normal($0.host) }), before != host else {
            return false
        }
        return settings.origins.limits(for: before).connections ?? 0 > 0
    }

    /// The client certificate and its key for the host that the job asks; nil if the settings name none for it.
    func clientCertificate(for job: JobRecord) -> String? {
        guard !settings.origins.hosts.isEmpty else { return nil }
        return clientCertificates.text(for: settings.origins.limits(for: job.origin.host))
    }

    // MARK: Denied users

    /// Ends the jobs of a user who may not use the service any more.
    func endJobs(ofUser userID: UInt32) {
        for job in jobs.allActive where job.owner.userID == userID { end(job, Self.notAllowed(userID)) }
    }

    private static func notAllowed(_ userID: UInt32) -> Outcome {
        Outcome(.cancelled, "the settings do not allow user \(userID) to use the service any more")
    }

    /// Tells the administrator of a connection that was denied.
    func noteDenial(_ job: JobRecord, _ facts: EndFacts) {
        guard facts.outcome.code == .addressDenied else { return }
        log.addressDenied(job, facts)
    }
}
