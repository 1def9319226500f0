internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// The process behind a lane and the way to it. `LaneProcess` is the one that counts; tests have others.
///
/// Belongs to the loop's thread. Events come on a later turn than the call that made the transport.
protocol LaneTransport: AnyObject {
    var processID: Int32 { get }
    /// The process's memory, in bytes, without what is mapped from files; nil if it cannot be read.
    var memory: Int? { get }
    /// Nil if it cannot be read.
    var threads: Int? { get }
    /// Why no process could be made, where that shows only after the transport was made.
    var startError: Errno? { get }
    /// The number of the nursery that has forked it; nil if it was started as a program.
    var nursery: Int? { get }
    /// The process is reaped. Reports that it sent before may still follow.
    var hasEnded: Bool { get }
    /// Gets every report, in order.
    var onReport: (LaneReport) -> Void { get set }
    /// Called once, after the last report, when the process has been reaped. It will never write again.
    var onExit: (ProcessExit) -> Void { get set }
    /// Gets the socket of a process that has ended, if it holds unread messages.
    var onUnread: ((consuming OwnedDescriptor) -> Void)? { get set }

    /// - Throws: `Errno.wouldBlock` if the process is too far behind to take the command.
    func send(_ command: LaneCommand, descriptors: [CInt]) throws(Errno)
    /// Asks the process to end; ends it if it takes too long. Reports that come later are dropped.
    func hangUp()
    /// Ends it at once.
    func kill()
}

/// One lane, as the pool and the scheduler know it. Belongs to the loop's thread.
final class Lane {
    /// What the lane is doing, as far as the pool is concerned.
    enum Activity: Equatable {
        /// The lane is not ready yet.
        case starting
        /// The lane can take an order.
        case idle
        /// The lane has an order.
        case busy
    }

    /// The user whose jobs the lane runs, and the origin that the latest of them asked.
    struct Affinity: Equatable {
        var userID: UInt32
        var origin: Origin
    }

    /// The maximum number of threads of a lane, which needs about twelve. A lane with more takes those of others
    /// (`TasksMax=`, systemd.resource-control(5)).
    static let mostThreads = 64

    /// 0 as long as the process is being made.
    var processID: Int32 { transport.processID }
    var activity = Activity.starting {
        didSet { since = clock() }
    }
    /// Since when it does that, by the pool's clock.
    private(set) var since: UInt64
    var affinity: Affinity? {
        didSet { originBefore = oldValue?.origin }
    }
    /// The origin that the job before the latest one asked.
    private(set) var originBefore: Origin?
    /// The lane has had the client certificate for this host, and so fetches from this host alone.
    var certificateHost: String?
    /// The account of a job that has ended, which the lane has kept for its next job.
    var account: JobAccount?
    /// The pool has asked the lane to end, so its end does not count as a death.
    private(set) var isRetired = false
    /// The lane must not get another job.
    var mustRetire = false
    /// Why the daemon has killed the lane.
    var fault: String?
    /// Why no process could be made.
    var startError: Errno? { transport.startError }
    /// The number of the nursery that has forked it; nil if it was started as a program.
    var nursery: Int? { transport.nursery }
    /// The process has ended. Reports that it sent before may still follow.
    var hasEnded: Bool { transport.hasEnded }

    private let transport: any LaneTransport
    private let clock: () -> UInt64

    /// - Parameters:
    ///   - clock: any monotonic clock, in ns.
    ///   - onReport: called with every report, in order.
    ///   - onExit: called once, after the last report. The lane will never write again.
    init(
        _ transport: any LaneTransport, clock: @escaping () -> UInt64,
        onReport: @escaping (Lane, LaneReport) -> Void,
        onExit: @escaping (Lane, ProcessExit) -> Void
    ) {
        self.transport = transport
        self.clock = clock
        since = clock()
        transport.onReport = { [unowned self] in onReport(self, $0) }
        // The lane lives until its process has ended, whoever else lets go of it.
        transport.onExit = { [self] exit in
            self.transport.onExit = { _ in }
            onExit(self, exit)
        }
    }

    /// The lane's memory, in bytes, without what is mapped from files; nil if it cannot be read.
    var memory: Int? { transport.memory }

    /// Kills a lane that has more threads than it can need.
    func killIfCrowded() {
        guard !hasEnded, let threads = transport.threads, threads > Self.mostThreads else { return }
        fault = "it had \(threads) threads"
        kill()
    }

    /// Sends a command. A lane that cannot take it is killed, and its end follows.
    func send(_ command: LaneCommand, descriptors: [CInt] = []) {
        if !canSend(command, descriptors: descriptors) { kill() }
    }

    /// Asks whether the lane is alive (`LaneCommand.probe`). A lane that is too far behind to take the question will
    /// not answer it either; the caller must deal with that.
    func ask(_ number: Int, about serial: Int) {
        _ = canSend(.probe(serial: serial, number: number))
    }

    /// Sends a command that the caller can also send later.
    ///
    /// - Returns: false if the lane is too far behind to take it.
    func canSend(_ command: LaneCommand, descriptors: [CInt] = []) -> Bool {
        do throws(Errno) {
            try transport.send(command, descriptors: descriptors)
            return true
        } catch {
            return false
        }
    }

    /// The staging pipe of an account for the lane; nil where the lane has it already.
    ///
    /// - Throws: what `open(2)` says.
    func open(_ account: JobAccount) throws(Errno) -> OwnedDescriptor? {
        self.account === account ? nil : try account.stagingForLane()
    }

    /// Gives the lane a job.
    ///
    /// - Parameters:
    ///   - account: the one that the lane has kept, or another: then it keeps none.
    ///   - staging: what `open` has returned.
    func give(
        _ order: LaneOrder, sink: JobSink, account: JobAccount, staging: consuming OwnedDescriptor?
    ) {
        self.account = nil
        var descriptors = sink.withDescriptor { [$0.rawValue] } ?? []
        if let staging {
            descriptors += [account.ledgerFile.rawValue, staging.rawValue]
            send(.order(order), descriptors: descriptors)
        } else {
            send(.order(order), descriptors: descriptors)
        }
    }

    /// Asks the lane to end: the end of its control socket is the sign.
    func retire() {
        isRetired = true
        transport.hangUp()
    }

    /// Ends the lane at once.
    func kill() {
        transport.kill()
    }
}
