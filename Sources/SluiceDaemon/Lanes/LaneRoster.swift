internal import SluiceCore
internal import SluiceInterface
internal import Unix

/// The lanes that have not ended, and the questions that the pool asks about them. Belongs to the loop's thread.
struct LaneRoster {
    /// What a job needs of its lane.
    struct Need {
        var userID: UInt32
        var origin: Origin
        /// The lane will be given the private key for a host, so it must not have asked another host.
        var needsKey: Bool
    }

    private var lanes: [ObjectIdentifier: Lane] = [:]

    var isEmpty: Bool { lanes.isEmpty }
    var count: Int { lanes.count }
    /// All, including those that were asked to end.
    var all: some Collection<Lane> { lanes.values }
    /// Those that were not asked to end.
    var live: [Lane] { lanes.values.filter { !$0.isRetired } }

    mutating func insert(_ lane: Lane) { lanes[ObjectIdentifier(lane)] = lane }
    mutating func remove(_ lane: Lane) { lanes[ObjectIdentifier(lane)] = nil }

    /// By activity.
    var counts: Ingest.LaneCounts {
        var counts = Ingest.LaneCounts()
        for lane in lanes.values where !lane.isRetired {
            switch lane.activity {
            case .starting: counts.starting += 1
            case .idle: counts.idle += 1
            case .busy: counts.busy += 1
            }
        }
        return counts
    }

    /// An idle lane for a job: the one that asked the same origin for the same user, then one that has had no user, then
    /// another of the user's own.
    func best(for need: Need) -> Lane? {
        var fresh: Lane?
        var sameUser: Lane?
        for lane in lanes.values {
            guard mayWork(lane), lane.activity == .idle, mayServe(lane, need) else { continue }
            switch lane.affinity {
            case nil: fresh = fresh ?? lane
            case let affinity? where affinity.userID == need.userID:
                if affinity.origin == need.origin { return lane }
                sameUser = sameUser ?? lane
            case _?: break
            }
        }
        return fresh ?? sameUser
    }

    private func mayWork(_ lane: Lane) -> Bool { !lane.hasEnded && !lane.isRetired && !lane.mustRetire }

    /// As far as the hosts are concerned that the lane has asked.
    private func mayServe(_ lane: Lane, _ need: Need) -> Bool {
        if let host = lane.certificateHost { return host == need.origin.host }
        return !need.needsKey || lane.affinity == nil
    }

    /// What is known of the lanes for the decision about new ones.
    ///
    /// - Parameter moment: of the clock by which the lanes go.
    func situation(for need: Need, at moment: UInt64) -> StartRules.Situation {
        var situation = StartRules.Situation(waiting: 0)
        for lane in lanes.values where mayWork(lane) {
            let time = moment - min(moment, lane.since)
            switch lane.activity {
            case .starting:
                situation.starting.append(time)
                // The lane that is kept for root is no other user's.
                if lane.affinity == nil { situation.coming += 1 }
            case .busy where lane.affinity?.userID == need.userID && mayServe(lane, need):
                situation.busy.append(time)
            case .busy, .idle: break
            }
        }
        return situation
    }

    /// The one that has been idle for longest.
    var oldestIdle: Lane? {
        lanes.values.filter { !$0.isRetired && $0.activity == .idle }.min { $0.since < $1.since }
    }
}
