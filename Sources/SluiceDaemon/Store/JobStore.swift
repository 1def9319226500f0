internal import EventLoop
internal import Logging
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import Systemd
internal import Unix

/// What keeps descriptors for the next process: the service manager, through `Notifier`.
protocol DescriptorKeeper: AnyObject {
    func store(name: String, descriptors: [CInt]) -> Notifier.Outcome
    func remove(name: String) -> Notifier.Outcome
    func barrier() -> NotifyBarrier
}

extension Notifier: DescriptorKeeper {}

/// Keeps jobs and outcomes beyond this process: active jobs as descriptors in the service manager's store
/// (`sd_pid_notify_with_fds(3)`, FDSTORE=1), ended ones in a file. Belongs to the loop's thread.
///
/// A job costs PID 1 a message when it is stored and another when it ends. So only jobs that have run for a while are
/// stored; most jobs have ended by then.
final class JobStore {
    /// The length of a name in the store. Names are short, because all of them must fit into the environment of the
    /// next process.
    private static let nameLength = StoredName.longest
    /// The number of messages that are sent before the daemon waits for the service manager to process them. The
    /// manager's queue is short, and a message that does not fit into it blocks the daemon.
    private static let messagesAtOnce = 32
    /// How long to wait before the service manager is asked again to remove an entry.
    private static let removalPause = Duration.seconds(1)
    /// How long the service manager may take to confirm that it has processed all messages.
    private static let barrierTime = Duration.seconds(5)

    private struct YoungJob {
        weak var job: JobRecord?
        let due: ContinuousClock.Instant
    }

    private let loop: EventLoop
    private let keeper: any DescriptorKeeper
    private let isEnabled: Bool
    private let outcomes: OutcomeFile?
    private let log: ServiceLog
    private var settings: Settings
    private var young = FIFO<YoungJob>()
    private var timer: Timer?
    private var names: Set<String> = []
    private var nextName = 0
    private var isClosed = false

    /// - Parameters:
    ///   - isEnabled: there is a service manager that keeps descriptors.
    ///   - outcomes: the file of outcomes; nil if there is no state directory.
    init(
        loop: EventLoop, keeper: any DescriptorKeeper, isEnabled: Bool, outcomes: OutcomeFile?,
        settings: Settings,
        log: ServiceLog
    ) {
        self.loop = loop
        self.keeper = keeper
        self.isEnabled = isEnabled
        self.outcomes = outcomes
        self.settings = settings
        self.log = log
    }

    /// The number of jobs that the service manager keeps.
    var count: Int { names.count }

    func apply(_ settings: Settings) {
        self.settings = settings
        outcomes?.limit = settings.limits.rememberedJobsPerUser
    }

    /// Stores a new job once it is old enough.
    func follow(_ job: JobRecord) {
        guard isEnabled else { return }
        young.append(YoungJob(job: job, due: .now + .seconds(settings.restart.storeAfterSeconds)))
        schedule()
    }

    private func schedule() {
        guard timer == nil, let first = young.first else { return }
        timer = loop.after(max(.zero, first.due - .now)) { [weak self] in
            guard let self else { return }
            timer = nil
            storeDue()
        }
    }

    private func storeDue() {
        for _ in 0..<Self.messagesAtOnce {
            guard let first = young.first, first.due <= .now else { return schedule() }
            young.removeFirst()
            if let job = first.job { store(job) }
        }
        afterBarrier { [weak self] in self?.schedule() }
    }

    /// Stores a job, unless it is stored or has ended.
    func store(_ job: JobRecord) {
        // A body that is sent over its client's connection ends with the connection, and so with this process.
        guard isEnabled, !isClosed, job.sink?.isPipe ?? false, job.stored == nil, job.machine.outcome == nil
        else {
            return
        }
        let name = newName()
        do throws(RecordFileError) {
            let entry = StoredEntry(name: name, record: try RecordFile(name: "sluice-job"), hasAccount: false)
            try write(job, to: entry)
            // A job that was not stored is tried again when the service hands its jobs over.
            if send(job, entry, withSink: true) { return job.stored = entry }
        } catch {
            log.trouble(.storeFailed, "a job cannot be kept for a restart", "\(error)", job: job)
        }
        names.remove(name)
    }

    /// A job has changed. Updates its entry in the store.
    func changed(_ job: JobRecord) {
        guard isEnabled, !isClosed else { return }
        if job.stored == nil, job.machine.publicState == .parked { return store(job) }
        guard let entry = job.stored else { return }
        do throws(RecordFileError) {
            // The order matters: when a record mentions attempts, their account must be in the store already.
            if job.progress.account != nil, !entry.hasAccount { _ = send(job, entry, withSink: false) }
            try write(job, to: entry)
        } catch {
            log.trouble(.storeFailed, "a job cannot be kept for a restart", "\(error)", job: job)
        }
    }

    /// From now on the store stays unchanged, for the next process.
    func close() {
        isClosed = true
    }

    /// A job has ended. Keeps its outcome and removes its descriptors.
    func finished(_ job: JobRecord, _ ended: EndedJob) {
        guard !isClosed else { return }
        if let note = outcomes?.append(ended) { log.outcomes(note) }
        guard let stored = job.stored else { return }
        job.stored = nil
        remove(stored.name)
    }

    /// Removes an entry from the store, and tries again until the service manager has the message.
    func remove(_ name: String) {
        guard case .failed(let errno) = keeper.remove(name: name) else {
            names.remove(name)
            return
        }
        // While the service manager holds the pipe, its consumer sees no end of file.
        log.trouble(
            .storeFailed, "the service manager does not remove a job from its store, another try follows",
            "\(errno)")
        loop.after(Self.removalPause) { [weak self] in self?.remove(name) }
    }

    /// Takes over the entry of a restored job.
    func adopt(_ job: JobRecord, _ entry: StoredEntry) {
        names.insert(entry.name)
        job.stored = entry
    }

    /// Stores all of these jobs. Calls back when the service manager has them, or has not confirmed that within
    /// `barrierTime`.
    func storeAll(_ jobs: [JobRecord], _ completion: @escaping () -> Void) {
        guard isEnabled else { return completion() }
        let batch = jobs.prefix(Self.messagesAtOnce)
        for job in batch {
            store(job)
            // An account that was not taken before has its last chance.
            if let entry = job.stored, !entry.hasAccount { changed(job) }
        }
        afterBarrier { [weak self] in
            guard let self, jobs.count > batch.count else { return completion() }
            storeAll(Array(jobs.dropFirst(batch.count)), completion)
        }
    }

    /// Calls back when the service manager has processed all messages that it was sent, or after `barrierTime`
    /// (`BARRIER=1`, sd_notify(3)).
    private func afterBarrier(_ completion: @escaping () -> Void) {
        guard case .pending(let end) = keeper.barrier() else { return completion() }
        let barrier = Barrier(end, completion)
        barrier.watch = try? loop.watch(barrier.end, for: []) { _ in barrier.finish() }
        barrier.timer = loop.after(Self.barrierTime) { barrier.finish() }
    }

    private final class Barrier {
        let end: OwnedDescriptor
        var watch: Watch?
        var timer: Timer?
        private var completion: (() -> Void)?

        init(_ end: consuming OwnedDescriptor, _ completion: @escaping () -> Void) {
            self.end = end
            self.completion = completion
        }

        func finish() {
            watch?.cancel()
            timer?.cancel()
            let completion = self.completion
            self.completion = nil
            completion?()
        }
    }

    private func write(_ job: JobRecord, to entry: StoredEntry) throws(RecordFileError) {
        guard let bytes = StoredJob(job).encoded else { return }
        try entry.record.write(bytes)
    }

    /// - Returns: whether the service manager was given the descriptors.
    private func send(_ job: JobRecord, _ entry: StoredEntry, withSink: Bool) -> Bool {
        var descriptors: [CInt] = []
        if withSink {
            guard let number = job.sink?.withDescriptor({ $0.rawValue }) else { return false }
            descriptors = [number, entry.record.descriptor.rawValue]
        }
        if let account = job.progress.account {
            descriptors += [account.ledgerFile.rawValue, account.staging.rawValue]
        }
        if case .failed(let errno) = keeper.store(name: entry.name, descriptors: descriptors) {
            log.trouble(.storeFailed, "the service manager does not keep a job", "\(errno)", job: job)
            return false
        }
        entry.hasAccount = job.progress.account != nil
        return true
    }

    private func newName() -> String {
        let digits = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        while true {
            var number = nextName
            nextName += 1
            var name = ""
            for _ in 0..<Self.nameLength {
                name.append(digits[number % digits.count])
                number /= digits.count
            }
            if names.insert(name).inserted { return name }
        }
    }
}
