internal import SluiceCore
internal import SystemPackage
internal import UnixSockets

/// The ledger and the staging pipe of a job.
///
/// When a job has been delivered whole both are as good as new: the lane keeps them, and so does the daemon, for the next
/// job that this lane is given. That spares both some twenty system calls for a small body.
final class LaneAccount: Sendable {
    /// Mapped.
    let ledger: Ledger
    /// Open for reading and writing, non-blocking.
    let staging: OwnedDescriptor

    init(ledger: Ledger, staging: consuming OwnedDescriptor) {
        self.ledger = ledger
        self.staging = staging
    }

    /// Whether the daemon has set the account to where an order begins. One that says something else would be wrong
    /// from the first byte on.
    func isAt(_ position: Int) -> Bool {
        let entry = ledger.read()
        return !entry.isFilling && entry.filled == UInt64(position) && entry.received == UInt64(position)
            && (try? staging.readableBytes()) == 0
    }
}

/// An account that no job has at the moment, and its ledger's file, whose lock nobody has.
struct FreeAccount: ~Copyable {
    let file: OwnedDescriptor
    let account: LaneAccount

    init(file: consuming OwnedDescriptor, account: LaneAccount) {
        self.file = file
        self.account = account
    }

    /// What came with an order; nil where that is no account.
    init?(file: consuming OwnedDescriptor, staging: consuming OwnedDescriptor) {
        guard let counters = try? SharedCounters(mapping: file), let ledger = Ledger(existing: counters)
        else {
            return nil
        }
        self.init(file: file, account: LaneAccount(ledger: ledger, staging: staging))
    }
}
