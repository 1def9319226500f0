internal import CUnix
internal import Glibc
internal import SystemPackage
internal import UnixSockets

/// This process's write lock on a job's ledger: whoever holds it may write to the job's pipes, and nobody else.
///
/// It is a record lock (`fcntl(2)`), which belongs to the process and not to a descriptor: it goes with the process,
/// however that ends, and the daemon can ask who holds it (F_GETLK). It also goes when the process closes *any*
/// descriptor of the ledger. So the only one that a lane gets is kept in here, and nowhere else.
struct LedgerLock: ~Copyable {
    /// Why there is no lock.
    struct Refusal: Error, Equatable {
        /// One sentence.
        let reason: String
    }

    private let ledger: OwnedDescriptor

    /// Takes the lock, or says who has it.
    ///
    /// - Parameter ledger: the memory file, open for writing.
    init(_ ledger: consuming OwnedDescriptor) throws(Refusal) {
        guard cunix_lock_write(ledger.rawValue) < 0 else {
            self.ledger = ledger
            return
        }
        let error = Errno(rawValue: errno)
        guard error == .wouldBlock || error == .permissionDenied else {
            throw Refusal(reason: "the job's ledger cannot be locked: \(error)")
        }
        let holder = cunix_lock_holder(ledger.rawValue)
        throw Refusal(
            reason: holder > 0
                ? "process \(holder) still writes for this job" : "another process still writes for this job")
    }
}
