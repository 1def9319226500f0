internal import LaneProtocol
internal import SluiceCore

/// How far the consumer of a job is, and what the next attempt goes on with.
struct JobProgress {
    /// What has been received and delivered; nil before the first attempt, and after the end.
    private(set) var account: JobAccount?
    /// The number of bytes that the consumer has, while no lane is at work.
    private(set) var position = 0
    /// What these bytes are of.
    private(set) var known: Representation?
    /// The number of bytes that the consumer had when an attempt last failed.
    private(set) var deliveredAtFailure = 0
    /// The number of bytes that the last attempt had delivered when the job was parked; nil where it was not.
    private(set) var deliveredBeforePark: Int?
    /// The final numbers, once the job has ended.
    private(set) var settlement: JobAccount.Numbers?

    init() {}

    /// What an earlier process of the service has written down, but for the account.
    init(known: Representation?) { self.known = known }

    /// What the job has got so far. Costs two system calls while it runs.
    var numbers: JobAccount.Numbers {
        settlement ?? account?.numbers() ?? JobAccount.Numbers(received: position, delivered: position)
    }

    mutating func begin(with account: JobAccount) { self.account = account }

    /// A response has come. Of a body that goes on, everything but its length is known.
    ///
    /// - Returns: whether it is the first one of this body.
    mutating func learn(from response: ResponseFacts) -> Bool {
        guard position > 0 else {
            known = response.representation
            return true
        }
        if known?.length == nil { known?.length = response.representation.length }
        if response.representation.refusesRanges { known?.refusesRanges = true }
        return false
    }

    /// A lane has died, perhaps before it could tell: the ledger knows what it was given.
    ///
    /// - Returns: whether anything is known by that.
    mutating func learnFromAccount() -> Bool {
        guard position == 0, known == nil else { return false }
        known = account?.representation
        return true
    }

    /// An attempt has failed, and the job goes on.
    mutating func failed(delivered: Int) { deliveredAtFailure = delivered }

    /// No lane is at work any more: drops what was received and not delivered, and goes back to the consumer's byte.
    ///
    /// - Returns: how many bytes were dropped; nil where the account is damaged.
    mutating func rewind(isParked: Bool) -> Int? {
        let received = numbers.received
        guard let position = account?.rewind() else { return nil }
        deliveredBeforePark = isParked ? max(0, position - self.position) : nil
        self.position = position
        // Nothing has been delivered, so the next attempt may take any representation.
        if position == 0 { known = nil }
        return received - position
    }

    /// The same for a job whose service was restarted.
    ///
    /// - Returns: false where the account is damaged.
    mutating func rewindAfterRestart() -> Bool {
        guard let position = account?.rewind() else { return false }
        self.position = position
        guard position > 0 else {
            known = nil
            return true
        }
        // The ledger's representation takes precedence over the record's, because the earlier daemon may have died or
        // hung before it recorded what the lane reported.
        let refusesRanges = known?.refusesRanges ?? false
        known = account?.representation ?? known
        if refusesRanges { known?.refusesRanges = true }
        deliveredAtFailure = position
        return true
    }

    /// The job has ended: no lane can write any more, and the account is closed.
    ///
    /// - Returns: the final numbers; nil where the account is damaged.
    mutating func settle() -> JobAccount.Numbers? {
        defer { account = nil }
        guard let account else {
            settlement = JobAccount.Numbers()
            return settlement
        }
        let numbers = account.numbers()
        settlement = numbers ?? JobAccount.Numbers()
        return numbers
    }
}
