internal import Glibc
public import SystemPackage
public import Unix

/// Asks the service manager whether it has processed all messages sent so far.
public enum NotifyBarrier: ~Copyable, Sendable {
    /// The manager answers by closing the pipe: this read end then reports a hang-up. It never carries data.
    case pending(OwnedDescriptor)
    /// There is no manager, so there is nothing to wait for.
    case notNeeded
    /// The question could not be sent.
    case failed(Errno)
}

/// The service manager's descriptor store (`sd_pid_notify_with_fds(3)`, FileDescriptorStoreMax= of
/// `systemd.service(5)`). Descriptors in it outlive this process and are passed to the next one
/// (`ListenDescriptors`).
///
/// A message for which the manager's queue has no room waits until there is room (`net.unix.max_dgram_qlen`
/// messages). A caller that sends many should therefore send a barrier after every few dozen messages, and go on when
/// it has been answered.
///
/// Storing is expensive. The manager compares each new descriptor with all those that it has of the service (about
/// 1 µs each), and does so again with all of them whenever it reads its units (`systemctl daemon-reload`): this takes
/// 2 s of its time with 2,000 descriptors, 8 s with 4,000, 30 s with 8,000. To hand them over it needs a soft
/// LimitNOFILE= of up to twice their number.
extension Notifier {
    /// Maximum number of descriptors in one message: SCM_MAX_FD of the kernel.
    public static let mostDescriptors = 253

    /// FDSTORE=1: hands the manager duplicates of all these descriptors under one name, in one message: it gets all
    /// or none. The manager does not confirm that it keeps them: without notice it drops descriptors past
    /// FileDescriptorStoreMax=, and each whose hang-up or error it sees (a pipe's write end whose reader is gone). It
    /// does not store a descriptor twice.
    ///
    /// - Parameters:
    ///   - name: a name that `StoredName.isValid` accepts, else `Errno.invalidArgument`.
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
    /// - Parameter name: may be a name that an earlier version gave; without line breaks, else
    ///   `Errno.invalidArgument`.
    @discardableResult
    public func remove(name: String) -> Outcome {
        guard !name.isEmpty, !name.utf8.contains(where: { $0 < 0x20 }) else {
            return .failed(.invalidArgument)
        }
        return send(["FDSTOREREMOVE=1", "FDNAME=\(name)"])
    }

    /// BARRIER=1: the manager will close the write end of a new pipe once it has processed all earlier messages of
    /// this process. Unlike `sd_notify_barrier(3)` this does not wait.
    public func barrier() -> NotifyBarrier {
        do {
            let pipe = try Pipe()
            // It must be alone in its message (sd_notify(3)).
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
