internal import CUnix
internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import UnixSockets

/// What one job has got and its consumer was given: the ledger and the staging pipe, from the first attempt to the
/// last. After a job that went well in one lane the same two serve the next one there. Lives on the loop's thread.
final class JobAccount {
    /// The numbers at one moment.
    struct Numbers {
        var received = 0
        var delivered = 0
        var gateClosures = 0
        var stalledUsec = 0
    }

    /// For lanes, which get a copy, and for the service manager's store.
    let ledgerFile: OwnedDescriptor
    /// Filled and emptied by the lane; what is in it is what the consumer has not got.
    let staging: OwnedDescriptor
    private var reader: LedgerReader

    /// A new account, for a job that has had no lane.
    init(staging: consuming OwnedDescriptor) throws(Errno) {
        let file = try SharedCounters.makeFile(name: "sluice-ledger")
        reader = LedgerReader(Ledger(new: try SharedCounters(mapping: file)))
        ledgerFile = file
        self.staging = staging
    }

    /// The account of a job that an earlier daemon began; nil where the file is no ledger.
    init?(ledger file: consuming OwnedDescriptor, staging: consuming OwnedDescriptor) {
        guard let page = try? SharedCounters(mapping: file), let ledger = Ledger(existing: page) else {
            return nil
        }
        reader = LedgerReader(ledger)
        ledgerFile = file
        self.staging = staging
    }

    /// The staging pipe for a lane, opened once more: what a lane does to the flags of its own is nothing to ours.
    func stagingForLane() throws(Errno) -> OwnedDescriptor {
        try staging.reopenedForReadingAndWriting()
    }

    /// Makes the account that of another job, in the lane that has kept it since the last one.
    ///
    /// - Returns: false where it is not what a new one would be: the staging pipe has been grown, or is not empty.
    func renew() -> Bool {
        guard (try? staging.readableBytes()) == 0,
            (try? staging.pipeCapacity()) == PipeBudget.ordinaryCapacity
        else { return false }
        reader.renew()
        return true
    }

    /// Whether a lane has had the order in its hands.
    var isTaken: Bool { reader.isTaken }

    /// The lane's signs of life. Costs no system call.
    var pulse: LedgerPulse { reader.pulse }

    /// What the delivered bytes are of, as a lane has recorded it before the first of them.
    var representation: Representation? { reader.representation }

    /// A lane holds the account's lock, and so may still write.
    var isLocked: Bool { cunix_lock_holder(ledgerFile.rawValue) != 0 }

    /// The numbers now; nil where the ledger contradicts itself. Costs two system calls.
    func numbers() -> Numbers? {
        do {
            let delivered = try reader.delivered(staged: staging.readableBytes())
            let entry = try reader.read()
            return Numbers(
                received: Int(entry.received), delivered: delivered,
                gateClosures: Int(clamping: entry.gateClosures),
                stalledUsec: entry.stalledMicroseconds(now: Monotonic.nanoseconds()))
        } catch {
            return nil
        }
    }

    /// Makes the account ready for the next attempt, once no lane can write any more: what the consumer has not got is
    /// dropped.
    ///
    /// - Returns: how many bytes the consumer has; nil where the ledger contradicts itself.
    func rewind() -> Int? {
        guard let position = numbers()?.delivered else { return nil }
        // In this order, for the service may be killed between any two steps.
        reader.freeze(at: position)
        guard drainStaging() else { return nil }
        reader.restart(at: position, now: Monotonic.nanoseconds())
        return position
    }

    /// - Returns: false where it does not become empty: somebody still writes who should not.
    private func drainStaging() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        for _ in 0..<Self.readsToDrain {
            let count = read(staging.rawValue, &buffer, buffer.count)
            if count < 0, errno == EAGAIN { return true }
            if count < 0, errno != EINTR { return false }
        }
        return false
    }

    /// A pipe holds a mebibyte at most (`pipe-max-size`), an ordinary user's: so many reads empty it.
    private static let readsToDrain = 64
}

extension Outcome {
    /// What the account says contradicts itself, so it cannot be said what the consumer has.
    static var accountIsDamaged: Outcome { Outcome(.deliveryUncertain, "the account of the job is damaged") }
}
