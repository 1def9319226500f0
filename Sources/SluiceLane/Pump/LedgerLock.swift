internal import CUnix
internal import Glibc
internal import SystemPackage
internal import Unix

/// This process's write lock on a job's ledger: only the process that holds it may write to the job's pipes.
///
/// It is a record lock (`fcntl(2)`), which belongs to the process and not to a descriptor. The kernel releases it when
/// the process ends in any way, and the daemon can ask which process holds it (F_GETLK). The kernel also releases it
/// when the process closes *any* descriptor of the ledger. The lane's only descriptor is therefore kept in this value
/// while the lock is held, and nowhere else.
struct LedgerLock: ~Copyable {
    /// Why there is no lock.
    struct Refusal: Error, Equatable {
        /// The reason, in one sentence.
        let reason: String
    }

    private let file: OwnedDescriptor

    /// Takes the lock, or throws the number of the process that holds it.
    ///
    /// - Parameter file: the ledger's memory file, open for writing.
    init(_ file: consuming OwnedDescriptor) throws(Refusal) {
        guard cunix_lock_write(file.rawValue) < 0 else {
            self.file = file
            return
        }
        let error = Errno(rawValue: errno)
        guard error == .wouldBlock || error == .permissionDenied else {
            throw Refusal(reason: "the job's ledger cannot be locked: \(error)")
        }
        let holder = cunix_lock_holder(file.rawValue)
        throw Refusal(
            reason: holder > 0
                ? "process \(holder) still writes for this job" : "another process still writes for this job")
    }

    /// Releases the lock.
    ///
    /// - Returns: the file, for the lane's next job.
    consuming func released() -> OwnedDescriptor {
        // Unlocking cannot fail for a lock that is held. If it did, closing the file would release the lock as well. A
        // lane that keeps the file would keep the lock on a ledger that the daemon gives to no other lane.
        _ = cunix_unlock(file.rawValue)
        return file
    }
}
