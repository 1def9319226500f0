internal import CUnix
internal import Glibc
internal import SystemPackage
internal import UnixSockets

/// This process's write lock on a job's ledger: whoever holds it may write to the job's pipes, and nobody else.
///
/// It is a record lock (`fcntl(2)`), which belongs to the process and not to a descriptor: it goes with the process,
/// however that ends, and the daemon can ask who holds it (F_GETLK). It also goes when the process closes *any*
/// descriptor of the ledger. So the only one that a lane gets is kept in here while the lock is, and nowhere else.
struct LedgerLock: ~Copyable {
    /// Why there is no lock.
    struct Refusal: Error, Equatable {
        /// One sentence.
        let reason: String
    }

    private let file: OwnedDescriptor

    /// Takes the lock, or says who has it.
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

    /// Lets go of the lock.
    ///
    /// - Returns: the file, for the lane's next job.
    consuming func released() -> OwnedDescriptor {
        // It cannot fail for a lock that is held. If it did, whoever drops the file would drop the lock as well, and a
        // lane that keeps it would keep only itself from writing.
        _ = cunix_unlock(file.rawValue)
        return file
    }
}
