internal import FoundationEssentials
internal import Glibc
internal import SluiceCore
internal import SystemPackage
internal import Unix

/// Makes the pipes of jobs and grows them, within the budget. Belongs to the loop's thread.
///
/// A consumer may keep a pipe after its job has ended. The kernel still counts that pipe, and so does the budget, until
/// the pipe is gone (`KeptPipes`). A user who keeps more than a quarter of the budget gets no new jobs. The consumer
/// may also grow the pipe of a running job. Such a pipe is measured when a client asks for the sum, and at the job's
/// end; a quarter of the kernel's allowance stays outside the budget to cover growth in between. The staging pipe that
/// an idle lane keeps is counted only with the lane's next job; the budget's reserve covers it.
final class PipeRegister {
    private static let pageSize = sysconf(CInt(_SC_PAGESIZE))
    /// The pages that the kernel allows an ordinary user (pipe(7), `pipe-user-pages-soft`), if it cannot be asked.
    private static let usualPages = 16_384
    /// The capacity of the staging pipe of a job whose consumer keeps up, in bytes: that of one large write.
    private static let grownStaging = 256 << 10

    private(set) var budget: PipeBudget
    var grownCapacity: Int
    /// The pipes of ended jobs.
    let kept: KeptPipes
    private let log: ServiceLog

    /// - Parameter later: runs a closure on the loop's thread after a delay.
    init(settings: Settings, log: ServiceLog, later: @escaping (Duration, @escaping () -> Void) -> Void) {
        self.log = log
        kept = KeptPipes(later: later)
        budget = PipeBudget(limit: 0, reserve: 0)
        grownCapacity = settings.pipes.grownCapacity
        apply(settings)
    }

    /// Applies changed settings. Existing pipes keep their sizes.
    func apply(_ settings: Settings) {
        grownCapacity = settings.pipes.grownCapacity
        budget.limit = settings.pipes.budget ?? Self.kernelAllowance() / 4 * 3
        // Two ordinary pipes for each job that may still be started.
        budget.reserve = min(
            budget.limit / 2, 2 * PipeBudget.ordinaryCapacity * settings.lanes.maximum)
    }

    /// Counts a pipe of a job.
    func add(_ pipe: borrowing OwnedDescriptor, to job: JobRecord) {
        guard let bytes = try? pipe.pipeCapacity() else { return }
        job.charge.add(bytes)
        budget.add(bytes)
        // The kernel makes small pipes once the user has reached its allowance, which consumers can use up by growing
        // their pipes between two looks.
        if bytes < PipeBudget.ordinaryCapacity { budgetIsLow() }
    }

    /// Counts a staging pipe that is folded, or may be.
    func addFolded(_ pipe: borrowing OwnedDescriptor, to job: JobRecord) {
        guard let bytes = try? pipe.pipeCapacity() else { return }
        job.charge.add(bytes)
        budget.add(bytes)
    }

    /// Makes a job's staging pipe. It is one descriptor that reads and writes, so that the pipe always has both ends
    /// open.
    func makeStaging(for job: JobRecord) throws(Errno) -> OwnedDescriptor {
        let pipe = try Pipe()
        let staging = try pipe.readEnd.reopenedForReadingAndWriting()
        add(staging, to: job)
        return staging
    }

    /// Shrinks the empty staging pipe of a job that has no lane to one page. A thousand such pipes of ordinary size
    /// would use up the kernel's allowance.
    func fold(_ staging: borrowing OwnedDescriptor, of job: JobRecord) {
        resize(staging, to: Self.pageSize, job)
    }

    /// Gives a folded staging pipe its ordinary size back.
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
            job.charge.add(now - before)
        } else {
            // A lane may have grown the pipe unnoticed, so give back no more bytes than were counted.
            let bytes = min(before - now, job.charge.bytes)
            budget.remove(bytes)
            job.charge.add(-bytes)
        }
    }

    /// Gives a job whose consumer keeps up larger pipes, if there is room for them.
    ///
    /// - Returns: whether a pipe has grown.
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
        // The kernel may have refused, because other programs of this user have pipes, too.
        budget.remove(capacity - now)
        job.charge.add(now - before)
        return now > before
    }

    /// Stops counting the pipes of a job that has ended, except the one that its consumer may still hold.
    func release(_ job: JobRecord) {
        budget.remove(job.charge.bytes)
        job.charge.set(0)
        guard let sink = job.sink, sink.isPipe else { return }
        sink.withDescriptor { kept.keep($0, of: job.owner.userID) }
        budget.kept = kept.all.bytes
    }

    // MARK: Pipes that consumers keep or grow

    /// The number of pipes of ended jobs that are looked at for one question, because clients may ask often.
    private static let looksPerQuestion = 256

    /// Updates the sums with pipes that consumers have grown, and with the pipes of ended jobs.
    ///
    /// - Parameter jobs: the jobs that have not ended.
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
        job.charge.set(bytes + staging)
        budget.add(job.charge.bytes)
    }

    /// Why a user may not have another job for now; nil if the user may. Root always may.
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
