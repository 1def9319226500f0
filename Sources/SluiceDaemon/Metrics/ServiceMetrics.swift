internal import SluiceCore
internal import SluiceInterface
internal import Varlink

/// Why a client was turned away, or cut off: for counting. Each word is a label of `sluice_clients_refused`.
enum Refusal: String, CaseIterable {
    case invalidRequest, tooManyJobs, tooManyWatchers, resourcesExhausted, stopping, draining, notAllowed
    case tooManyConnections, tooManyConnectionsOfUser, messageTooLarge, tooManyDescriptors, malformedMessage
    case unfinishedMessage, unreadReplies

    init?(_ error: IngestError) {
        switch error {
        case .invalidRequest: self = .invalidRequest
        case .tooManyJobs: self = .tooManyJobs
        case .tooManyWatchers: self = .tooManyWatchers
        case .resourcesExhausted: self = .resourcesExhausted
        case .stopping: self = .stopping
        case .draining: self = .draining
        case .notAllowed: self = .notAllowed
        case .noSuchJob: return nil
        }
    }

    init(_ reason: VarlinkDropReason) {
        switch reason {
        case .tooManyConnections: self = .tooManyConnections
        case .tooManyConnectionsOfUser: self = .tooManyConnectionsOfUser
        case .notAdmitted: self = .notAllowed
        case .messageTooLarge: self = .messageTooLarge
        case .tooManyDescriptors: self = .tooManyDescriptors
        case .malformedMessage, .tooManyValues, .unsafeText: self = .malformedMessage
        case .unfinishedMessage: self = .unfinishedMessage
        case .unreadReplies, .unreadAtClose: self = .unreadReplies
        }
    }
}

/// What has happened since the service started, in numbers. Belongs to the loop's thread.
///
/// What is now is asked of those who know it when somebody wants to see it; here is only what would be forgotten. Nothing
/// is done for a chunk, a handful of additions for a job.
final class ServiceMetrics {
    var accepted = 0
    var restored = 0
    var parked = 0
    var attempts = 0
    /// Whether the settings were usable when they were last read.
    var areSettingsGood = true
    var queueWait = Histogram.queueWait
    var firstByte = Histogram.firstByte
    /// How long turns of the loop took.
    var loopTurn = Histogram.loopTurn
    private(set) var users = NameTally()
    private(set) var hosts = NameTally()
    private var outcomes: [OutcomeCode: Int] = [:]
    private var refusals: [Refusal: Int] = [:]

    /// Of jobs that have ended, and of bytes that were received, dropped, and have to come once more.
    private var past = JobAccount.Numbers()
    /// What restored jobs had got in an earlier life of the service.
    private var before = JobAccount.Numbers()
    /// What was last told.
    private var told = JobAccount.Numbers()

    func count(of code: OutcomeCode) -> Int { outcomes[code] ?? 0 }
    func count(of refusal: Refusal) -> Int { refusals[refusal] ?? 0 }

    func refused(_ error: IngestError) {
        if let refusal = Refusal(error) { refusals[refusal, default: 0] += 1 }
    }

    func dropped(_ reason: VarlinkDropReason) {
        refusals[Refusal(reason), default: 0] += 1
    }

    func ended(_ outcome: Outcome, _ numbers: JobAccount.Numbers) {
        outcomes[outcome.code, default: 0] += 1
        past.add(numbers)
    }

    /// The same once more, by user and host.
    func ended(_ outcome: Outcome, _ numbers: JobAccount.Numbers, user: UInt32, host: String) {
        var tally = NameTally.Numbers()
        tally.delivered = numbers.delivered
        switch outcome.code.state {
        case .complete: tally.complete = 1
        case .cancelled: tally.cancelled = 1
        default: tally.failed = 1
        }
        let now = ContinuousClock.now
        users.add(tally, to: "\(user)", at: now)
        hosts.add(tally, to: host, at: now)
    }

    func restored(with numbers: JobAccount.Numbers) {
        restored += 1
        before.add(numbers)
    }

    /// Bytes that no consumer has and that are dropped with their attempt.
    func threwAway(_ bytes: Int) {
        past.received = past.received.addingSaturated(max(0, bytes))
    }

    /// The sums since the start.
    ///
    /// A damaged account takes back what it said; the sums never do, since whoever computes a rate from them would take
    /// that for a restart.
    ///
    /// - Parameter active: of the jobs that have not ended.
    func totals(active: JobAccount.Numbers) -> JobAccount.Numbers {
        var sum = past
        sum.add(active)
        told.received = max(told.received, sum.received - before.received)
        told.delivered = max(told.delivered, sum.delivered - before.delivered)
        told.gateClosures = max(told.gateClosures, sum.gateClosures - before.gateClosures)
        told.stalledUsec = max(told.stalledUsec, sum.stalledUsec - before.stalledUsec)
        return told
    }
}

extension JobAccount.Numbers {
    mutating func add(_ other: Self) {
        received = received.addingSaturated(other.received)
        delivered = delivered.addingSaturated(other.delivered)
        gateClosures = gateClosures.addingSaturated(other.gateClosures)
        stalledUsec = stalledUsec.addingSaturated(other.stalledUsec)
    }
}
