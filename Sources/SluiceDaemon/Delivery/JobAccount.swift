internal import CUnix
internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Unix

/// What one job has received and its consumer was given: the ledger and the staging pipe, which serve all attempts of
/// the job. After a job that succeeded in one lane, the lane keeps both for its next job. Lives on the loop's thread.
final class JobAccount {
    /// The numbers at one moment.
    struct Numbers {
        var received = 0
        var delivered = 0
        var gateClosures = 0
        var stalledUsec = 0
    }

    /// The ledger's file, of which lanes and the service manager's store get a copy.
    let ledgerFile: OwnedDescriptor
    /// The lane fills and empties this pipe. Its contents are the bytes that the consumer has not got yet.
    let staging: OwnedDescriptor
    private var reader: LedgerReader

    /// A new account, for a job that has had no lane.
    init(staging: consuming OwnedDescriptor) throws(Errno) {
        let file = try SharedCounters.makeFile(name: "sluice-ledger")
        reader = LedgerReader(Ledger(new: try SharedCounters(mapping: file)))
        ledgerFile = file
        self.staging = staging
    }

    /// The account of a job that an earlier daemon began; nil if the file is no ledger.
    init?(ledger file: consuming OwnedDescriptor, staging: consuming OwnedDescriptor) {
        guard let page = try? SharedCounters(mapping: file), let ledger = Ledger(existing: page) else {
            return nil
        }
        reader = LedgerReader(ledger)
        ledgerFile = file
        self.staging = staging
    }

    /// Opens the staging pipe once more for a lane, so that a lane that changes the flags of its descriptor does not
    /// change those of the daemon's.
    func stagingForLane() throws(Errno) -> OwnedDescriptor {
        try staging.reopenedForReadingAndWriting()
    }

    /// Makes the account that of another job, in the lane that has kept it since its last job.
    ///
    /// - Returns: false if the account is not as good as new: the staging pipe has been grown, or is not empty.
    func renew() -> Bool {
        guard (try? staging.readableBytes()) == 0,
            (try? staging.pipeCapacity()) == PipeBudget.ordinaryCapacity
        else { return false }
        reader.renew()
        return true
    }

    /// Whether a lane has taken the order.
    var isTaken: Bool { reader.isTaken }

    /// The numbers by which the daemon sees that the lane is alive (`HangWatch`). Costs no system call.
    var pulse: LedgerPulse { reader.pulse }

    /// The representation (RFC 9110, section 3.2) that the delivered bytes are of. A lane records it before the first
    /// byte.
    var representation: Representation? { reader.representation }

    /// Whether a lane holds the account's lock and so may still write.
    var isLocked: Bool { cunix_lock_holder(ledgerFile.rawValue) != 0 }

    /// The numbers as of now; nil if the ledger contradicts itself. Costs two system calls.
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

    /// Makes the account ready for the next attempt and drops the bytes that the consumer has not got. No lane may be
    /// able to write any more.
    ///
    /// - Returns: the number of bytes that the consumer has; nil if the ledger contradicts itself or the staging pipe
    ///   does not become empty.
    func rewind() -> Int? {
        guard let position = numbers()?.delivered else { return nil }
        // The order matters, because the service may be killed between any two steps.
        reader.freeze(at: position)
        guard drainStaging() else { return nil }
        reader.restart(at: position, now: Monotonic.nanoseconds())
        return position
    }

    /// - Returns: false if the pipe does not become empty, because a lane still writes although none should.
    private func drainStaging() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        for _ in 0..<Self.readsToDrain {
            let count = read(staging.rawValue, &buffer, buffer.count)
            if count < 0, errno == EAGAIN { return true }
            if count < 0, errno != EINTR { return false }
        }
        return false
    }

    /// The number of reads that is enough to empty the pipe: an ordinary user's pipe holds at most 1 MiB
    /// (`/proc/sys/fs/pipe-max-size`, pipe(7)).
    private static let readsToDrain = 64
}

extension Outcome {
    /// The account contradicts itself, so the daemon cannot tell what the consumer has.
    static var accountIsDamaged: Outcome { Outcome(.deliveryUncertain, "the account of the job is damaged") }
}
