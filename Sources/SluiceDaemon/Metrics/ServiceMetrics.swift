internal import SluiceCore
internal import SluiceInterface
internal import Varlink

/// Why a client was refused or its connection closed, for counting. Each case is a label of `sluice_clients_refused`.
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

/// Counters of what has happened since the service started. Belongs to the loop's thread.
///
/// Current values are not kept here: `MetricsReport` asks their owners when a client wants to see them. The counters
/// cost nothing per chunk of a body, and a few additions per job.
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

    /// The numbers of jobs that have ended, plus the bytes that were received and dropped and must be received once
    /// more.
    private var past = JobAccount.Numbers()
    /// What restored jobs had received and delivered in an earlier process of the service.
    private var before = JobAccount.Numbers()
    /// The sums that were last reported.
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

    /// Counts the same end by user and by host.
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

    /// Bytes that no consumer has were dropped with their attempt.
    func threwAway(_ bytes: Int) {
        past.received = past.received.addingSaturated(max(0, bytes))
    }

    /// The sums since the start.
    ///
    /// The numbers of a job whose account turns out to be damaged are withdrawn, but the sums never fall, because a
    /// monitoring system would take that for a restart of the service.
    ///
    /// - Parameter active: the numbers of the jobs that have not ended.
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
