internal import Glibc
internal import SluiceCore
internal import SluiceInterface
internal import Systemd
internal import UnixSockets

/// Makes jobs of what an earlier process of the service left in the service manager's store.
///
/// Whatever is in there was written by a process that may have been killed at any moment, or by somebody else: it is
/// looked at before it is believed. What can be read goes on, the rest is reported and dropped.
final class Restoration {
    /// How long old lanes may go on living after their daemon, in all: they see the end of their control sockets at once.
    private static let lockTime = Duration.seconds(10)

    /// One job with its descriptors.
    private final class Found {
        let job: JobRecord
        let stored: StoredJob
        let entry: StoredEntry
        var sink: OwnedDescriptor?

        init(
            job: JobRecord, stored: StoredJob, entry: StoredEntry, sink: consuming OwnedDescriptor?
        ) {
            self.job = job
            self.stored = stored
            self.entry = entry
            self.sink = sink
        }
    }

    private let scheduler: Scheduler
    private let store: JobStore
    private let log: ServiceLog
    private var found: [Found] = []
    private var ids: Set<String> = []
    private lazy var deadline = ContinuousClock.now + Self.lockTime

    init(scheduler: Scheduler, store: JobStore, log: ServiceLog) {
        self.scheduler = scheduler
        self.store = store
        self.log = log
    }

    /// Takes over all jobs, the oldest first.
    ///
    /// Waits, within limits, for lanes of the earlier process that have not noticed yet that it is gone: there must
    /// never be two writers.
    func run(_ descriptors: consuming StoredDescriptors) {
        for name in descriptors.names {
            guard var group = descriptors.take(name) else { continue }
            read(&group)
        }
        for one in found.sorted(by: { $0.stored.sequence < $1.stored.sequence }) { resume(one) }
        found = []
    }

    private func drop(_ name: String, _ reason: String) {
        log.restoreFailed("\(name): \(reason)")
        store.remove(name)
    }

    private func read(_ group: inout StoredGroup) {
        let name = group.name
        guard let (stored, entry) = Self.record(&group) else {
            return drop(name, "there is no record of a job, or none that can be read")
        }
        guard ids.insert(stored.id).inserted else {
            return drop(name, "its job is there under another name, too")
        }
        // Its outcome was kept, and then the process was killed.
        guard !scheduler.jobs.hasEnded(stored.id) else { return store.remove(name) }
        guard let job = try? stored.makeRecord() else {
            return drop(name, "its record is of no job that can be")
        }
        let sink = group.take(.pipeWriteEnd)
        while job.progress.account == nil, let ledger = group.take(.counterPage) {
            guard SharedCounters.isLedger(ledger) else {
                log.restoreFailed("\(name): a page of counters is not the job's ledger")
                continue
            }
            guard let staging = group.take(.pipeBothEnds) else { break }
            guard let account = JobAccount(ledger: ledger, staging: staging) else { continue }
            job.progress.begin(with: account)
        }
        entry.hasAccount = job.progress.account != nil
        found.append(Found(job: job, stored: stored, entry: entry, sink: sink))
    }

    /// The first that is whole: somebody may have put other files under the same name.
    private static func record(_ group: inout StoredGroup) -> (StoredJob, StoredEntry)? {
        while let file = group.take(.recordFile) {
            guard let record = try? RecordFile(adopting: file) else { continue }
            let entry = StoredEntry(name: group.name, record: record, hasAccount: true)
            if let bytes = try? entry.record.read(), let job = StoredJob(encoded: bytes) {
                return (job, entry)
            }
        }
        return nil
    }

    private func resume(_ one: Found) {
        let job = one.job
        let outcome = state(of: one)
        store.adopt(job, one.entry)
        guard let sink = one.sink.take() else {
            return scheduler.restoreEnded(
                job,
                Outcome(
                    .consumerGone, "the consumer closed its end of the pipe while the service was restarted"))
        }
        if let outcome = one.stored.ending ?? outcome {
            job.sink = JobSink(sink, isPipe: true)
            return scheduler.restoreEnded(job, outcome)
        }
        if one.stored.isParked { job.machine = .restoredParked() }
        scheduler.restore(job, sink: sink)
        // With its new place among the others.
        store.changed(job)
    }

    /// Sets the job to the byte that it goes on with; says how it ends if it cannot.
    private func state(of one: Found) -> Outcome? {
        let job = one.job
        guard let account = job.progress.account else {
            guard job.attempts.count == 0 else {
                return Outcome(
                    .deliveryUncertain, "the account of the job was lost in a restart of the service")
            }
            return nil
        }
        guard waitForLane(account) else {
            return Outcome(.deliveryUncertain, "a process of the earlier service still holds the job")
        }
        guard job.progress.rewindAfterRestart() else { return .accountIsDamaged }
        job.attempts.end(Outcome(.serviceStopped, "the service was restarted"))
        let position = job.progress.position
        guard position > 0 else { return nil }
        job.response.describe(job.progress.known)
        let end = AttemptEnd(
            outcome: Outcome(.laneDied, "the service was restarted after \(position) bytes"), isDeath: true,
            position: position, delivered: position, known: job.progress.known,
            wantsDigest: job.request.digest != nil)
        // Not counted against the job: the service's restarts are not its doing.
        var policy = RetryPolicy(retries: 1)
        let decision = AttemptRules.judge(end, policy: &policy, pauses: .init(), secondsLeft: nil, random: 0)
        switch decision {
        case .finish(let outcome): return outcome
        case .retry: return nil
        }
    }

    private func waitForLane(_ account: JobAccount) -> Bool {
        while account.isLocked {
            guard ContinuousClock.now < deadline else { return false }
            // Nothing else has begun yet: the service is not ready before this is over.
            usleep(2000)
        }
        return true
    }
}

extension SharedCounters {
    /// Whether a job's account is in there, damaged or not.
    fileprivate static func isLedger(_ file: borrowing OwnedDescriptor) -> Bool {
        (try? SharedCounters(mapping: file)).map { Ledger(existing: $0) != nil } ?? false
    }
}
