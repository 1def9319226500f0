internal import Glibc
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import Systemd
internal import Unix

/// Makes jobs from what an earlier process of the service left in the service manager's store.
///
/// The contents of the store are untrusted: they may come from another program, or from a process that was killed at
/// any moment. Jobs that can be read go on; everything else is logged and removed.
final class Restoration {
    /// The total time to wait for lanes of the earlier daemon to end. They see the end of their control sockets at
    /// once.
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
    /// Blocks, up to `lockTime` in all, until lanes of the earlier process have ended, because a job must never have
    /// two writers.
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
            return drop(name, "it has no record of a job that can be read")
        }
        guard ids.insert(stored.id).inserted else {
            return drop(name, "the same job is stored under another name, too")
        }
        // The earlier process was killed after it had kept the outcome and before it removed the entry.
        guard !scheduler.jobs.hasEnded(stored.id) else { return store.remove(name) }
        guard let job = try? stored.makeRecord() else {
            return drop(name, "its record does not describe a valid job")
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

    /// The first valid record. Another program may have stored other files under the same name.
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
        // The record gets the job's new sequence number.
        store.changed(job)
    }

    /// Sets the job to the position at which it goes on.
    ///
    /// - Returns: the job's outcome if it cannot go on; nil if it can.
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
        // A restart of the service does not count as one of the job's retries.
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
            // Sleeping is harmless here: the loop serves no client yet, and the service is not ready before this ends.
            // The ledger's lock has no event to wait for, so it is polled every 2 ms, up to `deadline`.
            usleep(2000)
        }
        return true
    }
}

extension SharedCounters {
    /// Whether the file holds a job's ledger, damaged or not.
    fileprivate static func isLedger(_ file: borrowing OwnedDescriptor) -> Bool {
        (try? SharedCounters(mapping: file)).map { Ledger(existing: $0) != nil } ?? false
    }
}
