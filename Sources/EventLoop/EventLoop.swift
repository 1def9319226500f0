internal import CUnix
internal import Glibc
internal import Synchronization
public import SystemPackage
public import Unix

/// What a descriptor is ready for, or what it is watched for (`epoll(7)`).
public struct Readiness: OptionSet, Sendable {
    /// The bits of `EPOLLIN` and its like.
    public let rawValue: UInt32

    /// From the kernel's bits.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Bytes, a connection or an end of file can be read.
    public static let readable = Readiness(rawValue: UInt32(CUNIX_EPOLLIN))
    /// At least one byte can be written.
    public static let writable = Readiness(rawValue: UInt32(CUNIX_EPOLLOUT))
    /// The reader of a pipe is gone, or a socket failed. Always reported, whether it was asked for or not.
    public static let failed = Readiness(rawValue: UInt32(CUNIX_EPOLLERR))
    /// Both directions are closed. Always reported, whether it was asked for or not.
    public static let hungUp = Readiness(rawValue: UInt32(CUNIX_EPOLLHUP))
    /// The peer of a stream socket has closed its sending half.
    public static let peerFinished = Readiness(rawValue: UInt32(CUNIX_EPOLLRDHUP))
    /// Only for watching: readiness is reported once, and again when more arrives. For a descriptor that is left
    /// alone for now: without this option its hang-up would be reported in every turn.
    public static let edgesOnly = Readiness(rawValue: UInt32(CUNIX_EPOLLET))
}

/// One thread that waits for descriptors, timers and work. It does not poll, and does not wake up while idle.
///
/// ## Concurrency model
/// `execute`, `enqueue`, `stop`, `isCurrent` and the checks of isolation may be called from any thread. Everything else
/// belongs to the thread that runs `run` (before `run`, to the thread that made the loop). Handlers run there one after
/// another, so the state that they share needs no lock. The loop is a `SerialExecutor`: an actor that names it as its
/// executor runs on that thread, and handlers made inside the actor may access the actor's state. It is also a
/// `TaskExecutor`: tasks that prefer it need no thread of Swift's global executor, whose threads, once started, wake up
/// every second as long as the process runs. A handler must never wait, since it would stop the whole loop.
///
/// Watches and timers are identified by tokens that are never reused. An event that the kernel had already returned
/// when its watch was cancelled is dropped, and cannot reach the next owner of the same descriptor number.
public final class EventLoop: SerialExecutor, TaskExecutor, @unchecked Sendable {
    // @unchecked: the lock guards `inbox`; all other state is confined to the loop's thread, as described above.

    private struct Inbox {
        var work: [@Sendable () -> Void] = []
        var jobs: [UnownedJob] = []
        var isStopping = false
        var isWoken = false
    }

    private let epoll: OwnedDescriptor
    private let wakeUp: EventSignal
    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private var watches: [UInt64: Watch] = [:]
    private var timers = TimerHeap()
    private var nextToken: UInt64 = 1
    /// When the events of this turn arrived, for code that divides the time of one turn. Belongs to the loop's
    /// thread.
    public private(set) var turnBegan = ContinuousClock.now
    /// Called at the end of each turn in which something was done, with the duration of the turn: a new event would
    /// have had to wait that long. Called on the loop's thread.
    public var onTurn: ((Duration) -> Void)?
    private static let wakeUpToken: UInt64 = 0

    /// A loop without a thread; `run` lends it one.
    ///
    /// - Throws: `Errno.tooManyOpenFiles`.
    public init() throws(Errno) {
        epoll = OwnedDescriptor(adopting: try valueOrErrno(cunix_epoll_create()))
        wakeUp = try EventSignal()
        _ = try valueOrErrno(
            cunix_epoll_add(
                epoll.rawValue, wakeUp.descriptor.rawValue, UInt32(CUNIX_EPOLLIN), Self.wakeUpToken))
    }

    // MARK: From any thread

    /// Runs `work` on the loop's thread, after the work that already waits.
    public func execute(_ work: @escaping @Sendable () -> Void) {
        post { $0.work.append(work) }
    }

    /// The requirement of both kinds of executor: runs a part of a task or of an actor on the loop's thread.
    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        post { $0.jobs.append(unowned) }
    }

    /// Makes `run` return once the current handlers are done; where none runs, the next one. May be called twice.
    public func stop() {
        post { $0.isStopping = true }
    }

    /// Whether the caller is on the loop's thread.
    public var isCurrent: Bool {
        thread.load(ordering: .relaxed) == UInt(pthread_self())
    }

    /// The `SerialExecutor` requirement behind `assumeIsolated` and similar functions.
    public func checkIsolated() {
        precondition(isCurrent, "this belongs to the event loop's thread")
    }

    /// The `SerialExecutor` requirement that returns the answer instead of stopping the process.
    public func isIsolatingCurrentContext() -> Bool? {
        isCurrent
    }

    private func post(_ change: (inout sending Inbox) -> Void) {
        let mustWake = inbox.withLock { inbox in
            change(&inbox)
            defer { inbox.isWoken = true }
            return !inbox.isWoken
        }
        if mustWake { wakeUp.raise() }
    }

    // MARK: On the loop's thread

    /// Handles events until `stop`. The thread that calls it is the loop's until then. May be called again after that.
    public func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        defer { thread.store(0, ordering: .relaxed) }
        var events = [cunix_event](repeating: cunix_event(), count: Int(CUNIX_MOST_EVENTS))
        while drainInbox() {
            let now = ContinuousClock.now
            let count = cunix_epoll_wait(
                epoll.rawValue, &events, CInt(events.count), timers.millisecondsToNext(from: now))
            turnBegan = .now
            if count > 0 {
                for event in events.prefix(Int(count)) { dispatch(event) }
            }
            // A timer that a handler adds waits for the next turn, even if it is already due.
            let due = timers.takeDue(at: turnBegan)
            for timer in due { timer.fire() }
            if let onTurn, count > 0 || !due.isEmpty { onTurn(ContinuousClock.now - turnBegan) }
        }
    }

    /// Watches a descriptor. The loop calls the handler with what the descriptor is ready for, in every turn while
    /// that lasts.
    ///
    /// The loop does not own the descriptor: cancel the watch before you close it. An empty `readiness` still reports
    /// `failed` and `hungUp`.
    ///
    /// - Throws: `Errno.noSpace` past `/proc/sys/fs/epoll/max_user_watches`; `Errno.notPermitted` for a descriptor
    ///   that cannot be polled, such as a regular file; `Errno.fileExists` where the number is already watched.
    public func watch(
        _ descriptor: borrowing OwnedDescriptor, for readiness: Readiness,
        _ handler: @escaping (Readiness) -> Void
    ) throws(Errno) -> Watch {
        let token = nextToken
        nextToken += 1
        _ = try valueOrErrno(
            cunix_epoll_add(epoll.rawValue, descriptor.rawValue, readiness.rawValue, token))
        let watch = Watch(
            loop: self, descriptor: descriptor.rawValue, token: token, readiness: readiness, handler: handler)
        watches[token] = watch
        return watch
    }

    /// Calls `handler` once, `delay` from now, unless it is cancelled before that.
    ///
    /// The resolution is a millisecond, rounded up: the call never comes early.
    @discardableResult
    public func after(_ delay: Duration, _ handler: @escaping () -> Void) -> Timer {
        timers.add(at: .now + delay, handler)
    }

    private func drainInbox() -> Bool {
        let inbox = self.inbox.withLock { inbox in
            defer {
                inbox.work = []
                inbox.jobs = []
                inbox.isWoken = false
                inbox.isStopping = false
            }
            return inbox
        }
        for job in inbox.jobs {
            job.runSynchronously(isolatedTo: asUnownedSerialExecutor(), taskExecutor: asUnownedTaskExecutor())
        }
        for work in inbox.work { work() }
        return !inbox.isStopping
    }

    private func dispatch(_ event: cunix_event) {
        if event.token == Self.wakeUpToken {
            wakeUp.lower()
        } else if let watch = watches[event.token] {
            watch.handler(Readiness(rawValue: event.events))
        }
    }

    fileprivate func modify(_ watch: Watch, _ readiness: Readiness) {
        // This cannot fail for a descriptor that is being watched.
        _ = cunix_epoll_modify(epoll.rawValue, watch.descriptor, readiness.rawValue, watch.token)
    }

    fileprivate func remove(_ watch: Watch) {
        guard watches.removeValue(forKey: watch.token) != nil else { return }
        _ = cunix_epoll_remove(epoll.rawValue, watch.descriptor)
    }
}

/// A descriptor under watch. Belongs to the loop's thread. Releasing it does not end the watch; `cancel` does.
public final class Watch {
    private unowned let loop: EventLoop
    fileprivate let descriptor: CInt
    fileprivate let token: UInt64
    fileprivate let handler: (Readiness) -> Void
    /// What the descriptor is watched for. Setting a new value costs a system call; setting the same value costs
    /// nothing.
    public var readiness: Readiness {
        didSet {
            if readiness != oldValue { loop.modify(self, readiness) }
        }
    }

    fileprivate init(
        loop: EventLoop, descriptor: CInt, token: UInt64, readiness: Readiness,
        handler: @escaping (Readiness) -> Void
    ) {
        self.loop = loop
        self.descriptor = descriptor
        self.token = token
        self.readiness = readiness
        self.handler = handler
    }

    /// Ends the watch. No handler runs after it returns. May be called twice.
    public func cancel() {
        loop.remove(self)
    }
}
