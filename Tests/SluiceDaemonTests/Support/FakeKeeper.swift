import Glibc
import SystemPackage
import Unix

@testable import SluiceDaemon
@testable import Systemd

/// A service manager's store. It keeps copies of the descriptors, in a process that does not restart.
final class FakeKeeper: DescriptorKeeper {
    private var kept: [String: [CInt]] = [:]
    private(set) var removals = 0
    /// What it answers in place of taking anything.
    var failure: Errno?

    /// How many descriptors are kept under each name.
    var stored: [String: Int] { kept.mapValues(\.count) }

    deinit { for descriptor in kept.values.joined() { close(descriptor) } }

    func store(name: String, descriptors: [CInt]) -> Notifier.Outcome {
        if let failure { return .failed(failure) }
        kept[name, default: []] += descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 0) }
        return .sent
    }

    func remove(name: String) -> Notifier.Outcome {
        if let failure { return .failed(failure) }
        removals += 1
        for descriptor in kept.removeValue(forKey: name) ?? [] { close(descriptor) }
        return .sent
    }

    func barrier() -> NotifyBarrier { .notNeeded }

    /// What the next process of the service gets. The store keeps it all.
    func handOver() -> StoredDescriptors {
        StoredDescriptors(adopting: kept.mapValues { $0.map { fcntl($0, F_DUPFD_CLOEXEC, 0) } })
    }
}
