import SystemPackage
import Systemd
import UnixSockets

@testable import SluiceDaemon

/// A service manager that keeps nothing but names.
final class FakeKeeper: DescriptorKeeper {
    private(set) var stored: [String: Int] = [:]
    private(set) var removals = 0
    /// What it answers in place of taking anything.
    var failure: Errno?

    func store(name: String, descriptors: [CInt]) -> Notifier.Outcome {
        if let failure { return .failed(failure) }
        stored[name, default: 0] += descriptors.count
        return .sent
    }

    func remove(name: String) -> Notifier.Outcome {
        if let failure { return .failed(failure) }
        removals += 1
        stored[name] = nil
        return .sent
    }

    func barrier() -> NotifyBarrier { .notNeeded }
}
