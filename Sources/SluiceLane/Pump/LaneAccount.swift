internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// The ledger and the staging pipe of a job.
///
/// After a whole body was delivered, the lane and the daemon keep both for the next job of this lane. That saves each
/// of them about twenty system calls for a small body.
final class LaneAccount: Sendable {
    /// The ledger, mapped into memory.
    let ledger: Ledger
    /// The staging pipe, open for reading and writing, non-blocking.
    let staging: OwnedDescriptor

    init(ledger: Ledger, staging: consuming OwnedDescriptor) {
        self.ledger = ledger
        self.staging = staging
    }

    /// Whether the daemon has set the account to the position at which an order begins. An account with any other value
    /// would be wrong from the first byte on.
    func isAt(_ position: Int) -> Bool {
        let entry = ledger.read()
        return !entry.isFilling && entry.filled == UInt64(position) && entry.received == UInt64(position)
            && (try? staging.readableBytes()) == 0
    }
}

/// An account that no job uses at the moment, and its ledger's file, which no process has locked.
struct FreeAccount: ~Copyable {
    let file: OwnedDescriptor
    let account: LaneAccount

    init(file: consuming OwnedDescriptor, account: LaneAccount) {
        self.file = file
        self.account = account
    }

    /// The account that came with an order; nil if the descriptors are not valid.
    init?(file: consuming OwnedDescriptor, staging: consuming OwnedDescriptor) {
        guard let counters = try? SharedCounters(mapping: file), let ledger = Ledger(existing: counters)
        else {
            return nil
        }
        self.init(file: file, account: LaneAccount(ledger: ledger, staging: staging))
    }
}
