import EventLoop
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import Unix

@testable import SluiceDaemon

/// A lane without a process: a test reads its commands and speaks for it.
final class FakeLane: LaneTransport {
    /// More than any process of a test machine has.
    let processID: Int32 = 1 << 22
    let memory: Int? = 1 << 20
    var threads: Int? = 8
    private(set) var hasEnded = false
    var startError: Errno?
    var nursery: Int?
    var onReport: (LaneReport) -> Void = { _ in }
    var onExit: (ProcessExit) -> Void = { _ in }
    var onUnread: ((consuming OwnedDescriptor) -> Void)?

    private(set) var commands: [LaneCommand] = []
    private(set) var isKilled = false
    private(set) var isHungUp = false
    /// What became of the descriptors of the latest order: the consumer's end, and the ledger.
    private(set) var sink: OwnedDescriptor?
    private(set) var ledger: Ledger?
    /// The socket takes no more.
    var isBehind = false

    /// The latest order.
    var order: LaneOrder? {
        for case .order(let order) in commands.reversed() { return order }
        return nil
    }

    func send(_ command: LaneCommand, descriptors: [CInt]) throws(Errno) {
        if isBehind { throw .wouldBlock }
        commands.append(command)
        guard case .order = command else { return }
        sink = OwnedDescriptor(adopting: fcntl(descriptors[0], F_DUPFD_CLOEXEC, 0))
        guard descriptors.count > 1 else { return }
        let file = OwnedDescriptor(adopting: fcntl(descriptors[1], F_DUPFD_CLOEXEC, 0))
        ledger = (try? SharedCounters(mapping: file)).flatMap { Ledger(existing: $0) }
    }

    func hangUp() { isHungUp = true }

    func kill() { isKilled = true }

    // MARK: What a lane does

    func isReady() { onReport(.ready(wire: LaneReport.wire, confinement: .full)) }

    func reports(_ report: LaneReport) { onReport(report) }

    /// The lane has the order in its hands, and `bytes` of the body are in the consumer's pipe.
    func delivers(_ bytes: [UInt8]) {
        ledger?.markTaken()
        ledger?.setReceived(bytes.count)
        ledger?.beginFill(filled: bytes.count)
        _ = bytes.withUnsafeBytes { write(sink?.rawValue ?? -1, $0.baseAddress, $0.count) }
        ledger?.endFill(filled: bytes.count)
    }

    func ends(_ outcome: Outcome, status: Int? = 200) {
        let serial = order?.serial ?? 0
        sink = nil
        onReport(.ended(serial: serial, EndFacts(outcome, status: status), isIdle: true, keepsAccount: false))
    }

    /// Ends together with its service, which does not see it.
    func vanishes() {
        hasEnded = true
        sink = nil
        onReport = { _ in }
        onExit = { _ in }
    }

    func dies(_ exit: ProcessExit = .signalled(SIGKILL)) {
        hasEnded = true
        sink = nil
        onExit(exit)
    }
}

/// The lanes that a pool has started.
final class FakeLanes {
    private(set) var all: [FakeLane] = []
    /// Why no lane can be started.
    var shortage: Errno?

    /// - Parameters:
    ///   - rules: those that are not given start a lane for each job that waits.
    ///   - clock: for the rules and for idle lanes; one that is not given stands still.
    func makePool(
        on loop: EventLoop, _ settings: Settings.Lanes,
        rules: StartRules = StartRules(processors: .max, startTime: 0), clock: @escaping () -> UInt64 = { 0 }
    ) -> LanePool {
        LanePool(
            loop: loop, executable: "lane", settings: settings, log: ServiceLog.silent, rules: rules,
            clock: clock
        ) {
            [self] () throws(Errno) in
            if let shortage { throw shortage }
            let lane = FakeLane()
            all.append(lane)
            return lane
        }
    }
}
