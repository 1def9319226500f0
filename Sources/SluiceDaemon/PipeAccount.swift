internal import FoundationEssentials
internal import SluiceCore
internal import SystemPackage
internal import UnixSockets

/// Makes the pipes of jobs and grows them, within the budget. Belongs to the loop's thread.
///
/// A consumer may keep a pipe that its job has left: the kernel still counts it, and so does the budget, until the pipe is
/// gone (`KeptPipes`). A user who keeps a quarter of the budget gets no new jobs. The consumer may grow the pipe of a
/// running job, too: that one is measured when a client asks for the sum, and at the job's end. The quarter of the kernel's
/// allowance that the budget leaves alone is for what happens in between. The staging pipe that an idle lane keeps for its
/// next job is counted with that job: the reserve is for it.
final class PipeAccount {
    /// What the budget knows of one job's pipes.
    struct Charge {
        /// Their buffers, in bytes.
        fileprivate(set) var bytes = 0
    }

    private static let pageSize = 4096
    /// What the kernel allows an ordinary user where it does not say so.
    private static let usualPages = 16_384
    /// A staging pipe of a job whose consumer keeps up, in bytes: one large write.
    private static let grownStaging = 256 << 10

    private(set) var budget: PipeBudget
    var grownCapacity: Int
    /// Pipes of ended jobs.
    let kept: KeptPipes
    private let log: ServiceLog

    /// - Parameter later: does something after a time, on the loop's thread.
    init(settings: Settings, log: ServiceLog, later: @escaping (Duration, @escaping () -> Void) -> Void) {
        self.log = log
        kept = KeptPipes(later: later)
        budget = PipeBudget(limit: 0, reserve: 0)
        grownCapacity = settings.pipes.grownCapacity
        apply(settings)
    }

    /// Takes over changed settings; pipes that there are stay as they are.
    func apply(_ settings: Settings) {
        grownCapacity = settings.pipes.grownCapacity
        budget.limit = settings.pipes.budget ?? Self.kernelAllowance() / 4 * 3
        // Two ordinary pipes for each job that may still be started.
        budget.reserve = min(
            budget.limit / 2, 2 * PipeBudget.ordinaryCapacity * settings.lanes.maximum)
    }

    /// Counts the pipe that a new job brings.
    func add(_ pipe: borrowing OwnedDescriptor, to job: JobRecord) {
        guard let bytes = try? pipe.pipeCapacity() else { return }
        job.charge.bytes += bytes
        budget.add(bytes)
        // Consumers may grow their pipes, between two looks at them.
        if bytes < PipeBudget.ordinaryCapacity { budgetIsLow() }
    }

    /// Counts a staging pipe that is folded, or may be.
    func addFolded(_ pipe: borrowing OwnedDescriptor, to job: JobRecord) {
        guard let bytes = try? pipe.pipeCapacity() else { return }
        job.charge.bytes += bytes
        budget.add(bytes)
    }

    /// Makes a job's staging pipe: one descriptor that reads and writes, so that it never has a hang-up.
    func makeStaging(for job: JobRecord) throws(Errno) -> OwnedDescriptor {
        let pipe = try Pipe()
        let staging = try pipe.readEnd.reopenedForReadingAndWriting()
        add(staging, to: job)
        return staging
    }

    /// Makes the empty staging pipe of a job that has no lane as small as it can be: a thousand of them would use up the
    /// kernel's allowance.
    func fold(_ staging: borrowing OwnedDescriptor, of job: JobRecord) {
        resize(staging, to: Self.pageSize, job)
    }

    /// Gives it its ordinary size back.
    func unfold(_ staging: borrowing OwnedDescriptor, of job: JobRecord) {
        guard let bytes = try? staging.pipeCapacity(), bytes < PipeBudget.ordinaryCapacity else { return }
        resize(staging, to: PipeBudget.ordinaryCapacity, job)
    }

    private func resize(_ pipe: borrowing OwnedDescriptor, to capacity: Int, _ job: JobRecord) {
        guard let before = try? pipe.pipeCapacity(), let now = try? pipe.setPipeCapacity(capacity) else {
            return
        }
        if now > before {
            budget.add(now - before)
            job.charge.bytes += now - before
        } else {
            // A lane may have grown the pipe behind our back: no more is given back than was counted.
            let bytes = min(before - now, job.charge.bytes)
            budget.remove(bytes)
            job.charge.bytes -= bytes
        }
    }

    /// Gives a job whose consumer keeps up larger pipes, if there is room for them.
    ///
    /// - Returns: whether anything has grown.
    func grow(_ job: JobRecord) -> Bool {
        var hasGrown = false
        if let account = job.progress.account {
            hasGrown = grow(account.staging, to: Self.grownStaging, job) || hasGrown
        }
        if let sink = job.sink, sink.isPipe {
            hasGrown = sink.withDescriptor { grow($0, to: grownCapacity, job) } ?? false || hasGrown
        }
        if !hasGrown { budgetIsLow() }
        return hasGrown
    }

    private func grow(_ pipe: borrowing OwnedDescriptor, to capacity: Int, _ job: JobRecord) -> Bool {
        guard let before = try? pipe.pipeCapacity(), before < capacity else { return false }
        if !budget.grow(by: capacity - before) {
            look()
            guard budget.grow(by: capacity - before) else { return false }
        }
        let now = (try? pipe.setPipeCapacity(capacity)) ?? before
        // The kernel may have refused: other programs of this user have pipes, too.
        budget.remove(capacity - now)
        job.charge.bytes += now - before
        return now > before
    }

    /// Forgets the pipes of a job that has ended, but for the one that its consumer may still hold.
    func release(_ job: JobRecord) {
        budget.remove(job.charge.bytes)
        job.charge.bytes = 0
        guard let sink = job.sink, sink.isPipe else { return }
        sink.withDescriptor { kept.keep($0, of: job.owner.userID) }
        budget.kept = kept.all.bytes
    }

    // MARK: What consumers do

    /// Pipes of ended jobs that are looked at for one question: a client may ask as often as it likes.
    private static let looksPerQuestion = 256

    /// Brings the sums up to date: with pipes that consumers have grown, and those of ended jobs.
    ///
    /// - Parameter jobs: those that run.
    func measure(_ jobs: some Sequence<JobRecord>) {
        for job in jobs where job.sink?.isPipe ?? false { measure(job) }
        look()
    }

    private func look() {
        kept.look(atMost: Self.looksPerQuestion)
        budget.kept = kept.all.bytes
    }

    private func measure(_ job: JobRecord) {
        let bytes = job.sink?.withDescriptor { (try? $0.pipeCapacity()) ?? 0 } ?? 0
        let staging = (try? job.progress.account?.staging.pipeCapacity()) ?? 0
        budget.remove(job.charge.bytes)
        job.charge.bytes = bytes + staging
        budget.add(job.charge.bytes)
    }

    /// Why a user may have no further job, for now; nil where one may. Never for root.
    func refusal(of userID: UInt32) -> String? {
        let most = budget.limit / 4
        func isOver(_ sum: KeptPipes.Sum) -> Bool {
            sum.bytes > most || sum.pipes >= KeptPipes.mostOfUser
        }
        guard userID != 0, isOver(kept.sum(of: userID)) else { return nil }
        look()
        let sum = kept.sum(of: userID)
        guard isOver(sum) else { return nil }
        return
            "programs of this user hold \(sum.pipes) pipes of ended jobs with \(sum.bytes) bytes of buffers, and "
            + "may hold \(KeptPipes.mostOfUser) with \(most): they have to read them to the end or close them"
    }

    private func budgetIsLow() {
        log.pipeBudgetLow(used: budget.used + budget.kept, limit: budget.limit)
    }

    private static func kernelAllowance() -> Int {
        let text = try? String(contentsOfFile: "/proc/sys/fs/pipe-user-pages-soft", encoding: .utf8)
        let pages = text.flatMap { Int($0.filter(\.isNumber)) } ?? usualPages
        // 0 means no limit.
        return (pages == 0 ? 16 * usualPages : pages) * pageSize
    }
}
