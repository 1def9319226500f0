internal import Glibc
public import SystemPackage
public import UnixSockets

/// A question to the service manager whether it has dealt with all messages sent so far.
public enum NotifyBarrier: ~Copyable, Sendable {
    /// The answer is the hang-up of this read end of a pipe; nothing ever comes out of it.
    case pending(OwnedDescriptor)
    /// There is no manager, and so nothing to wait for.
    case notNeeded
    /// It could not be asked.
    case failed(Errno)
}

/// The service manager's descriptor store (`sd_pid_notify_with_fds(3)`, FileDescriptorStoreMax= of
/// `systemd.service(5)`): what is in it outlives this process, and is passed to the next one (`ListenDescriptors`).
///
/// A message that the manager's queue has no room for waits until it has (`net.unix.max_dgram_qlen` messages), so put
/// a barrier behind each few dozen and go on when it has been answered.
///
/// What is stored is dear: the manager compares each descriptor that comes with all that it has of the service (about
/// 1 µs each), and does so again with all of them whenever it reads its units (`systemctl daemon-reload`): 2 s of its
/// time with 2,000, 8 s with 4,000, 30 s with 8,000. And to hand them over it needs a soft LimitNOFILE= of up to
/// twice their number.
extension Notifier {
    /// The most descriptors in one message: SCM_MAX_FD of the kernel.
    public static let mostDescriptors = 253

    /// FDSTORE=1: hands the manager duplicates of all these descriptors under one name, in one message: it gets all or
    /// none. That it keeps them is not said: it drops those past FileDescriptorStoreMax=, and each whose hang-up or
    /// error it sees (a pipe's write end whose reader is gone), without a word to us. One that is there
    /// already is not stored twice.
    ///
    /// - Parameters:
    ///   - name: as `StoredName.isValid` has it, else `Errno.invalidArgument`.
    ///   - descriptors: 1 to `mostDescriptors` numbers, valid for the time of the call, else `Errno.invalidArgument`.
    @discardableResult
    public func store(name: String, descriptors: [CInt]) -> Outcome {
        guard StoredName.isValid(name), (1...Self.mostDescriptors).contains(descriptors.count) else {
            return .failed(.invalidArgument)
        }
        return send(["FDSTORE=1", "FDNAME=\(name)"], descriptors: descriptors)
    }

    /// FDSTOREREMOVE=1: the manager closes all descriptors that it has under this name.
    ///
    /// - Parameter name: also one that an earlier version gave; without line breaks, else `Errno.invalidArgument`.
    @discardableResult
    public func remove(name: String) -> Outcome {
        guard !name.isEmpty, !name.utf8.contains(where: { $0 < 0x20 }) else {
            return .failed(.invalidArgument)
        }
        return send(["FDSTOREREMOVE=1", "FDNAME=\(name)"])
    }

    /// BARRIER=1: the manager will close the write end of a fresh pipe once it has dealt with all earlier messages of
    /// this process. Unlike `sd_notify_barrier(3)` this does not wait.
    public func barrier() -> NotifyBarrier {
        do {
            let pipe = try Pipe()
            // Alone in its message, as sd_notify(3) demands.
            switch send(["BARRIER=1"], descriptors: [pipe.writeEnd.rawValue]) {
            case .sent: return .pending(pipe.readEnd)
            case .notNeeded: return .notNeeded
            case .failed(let errno): return .failed(errno)
            }
        } catch {
            return .failed(error)
        }
    }
}
