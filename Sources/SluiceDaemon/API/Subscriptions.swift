internal import EventLoop
internal import SluiceCore
internal import SluiceInterface
internal import Unix
internal import Varlink

/// The calls of `Fetch` with `more`, `Wait`, `Watch`, `Cancel` and `Drain` that have not had their last reply. Belongs
/// to the loop's thread.
final class Subscriptions {
    /// A call of `Watch`.
    private final class Watcher {
        let call: any OpenCall
        let jobID: String?
        let interval: Duration
        var timer: Timer?

        init(call: any OpenCall, jobID: String?, interval: Duration) {
            self.call = call
            self.jobID = jobID
            self.interval = interval
        }
    }

    /// A call that is answered when a job has ended.
    private struct Waiter {
        let call: any OpenCall
        /// The call is the `Fetch` that made the job, called with `more`.
        let isFetch: Bool

        func answer(_ ended: EndedJob) {
            guard let job = ended.encoded, let id = EncodedValue(word: ended.job.id) else {
                // Encoding it again reports what is wrong with it, and answers the call.
                return call.reply(Ingest.JobReply(job: ended.job), continues: false)
            }
            call.reply(
                isFetch ? EncodedParameters(["id": id, "job": job]) : EncodedParameters(["job": job]),
                continues: false)
        }
    }

    private let loop: EventLoop
    /// The maximum number of `Watch` calls of one user at a time. Each costs something whenever a job changes.
    static let watchersPerUser = 64

    private let active: (UInt32) -> [JobRecord]
    private let find: (String) -> JobRecord?
    private var waiting: [String: [Waiter]] = [:]
    private var watchers: [ObjectIdentifier: Watcher] = [:]
    /// Calls of `Drain` that get the number of jobs that are left, with the number that they got last.
    private var drains: [ObjectIdentifier: (call: any OpenCall, told: Int)] = [:]
    private let activeCount: () -> Int

    /// - Parameters:
    ///   - active: returns the jobs that a user may see and that have not ended.
    ///   - activeCount: returns the number of jobs of all users that have not ended.
    ///   - find: returns a job that has not ended, by its ID.
    init(
        loop: EventLoop, active: @escaping (UInt32) -> [JobRecord], activeCount: @escaping () -> Int,
        find: @escaping (String) -> JobRecord?
    ) {
        self.loop = loop
        self.active = active
        self.activeCount = activeCount
        self.find = find
    }

    /// The number of a user's `Watch` calls that have not ended.
    func watcherCount(of userID: UInt32) -> Int {
        watchers.values.count { $0.call.peer.userID == userID }
    }

    /// Answers a call when the job has ended.
    ///
    /// - Parameter isFetch: the call is the `Fetch` that made the job.
    func wait(_ call: any OpenCall, for job: JobRecord, isFetch: Bool = false) {
        let id = job.id
        waiting[id, default: []].append(Waiter(call: call, isFetch: isFetch))
        call.onDisconnect = { [weak self, weak call] in
            guard let self, let call else { return }
            waiting[id]?.removeAll { $0.call === call }
            if waiting[id]?.isEmpty == true { waiting[id] = nil }
        }
    }

    /// Answers a call repeatedly: about one job until it has ended, or without end about all jobs that the caller may
    /// see.
    func watch(_ call: any OpenCall, _ job: JobRecord?, interval: Duration) {
        let watcher = Watcher(call: call, jobID: job?.id, interval: interval)
        watchers[ObjectIdentifier(call)] = watcher
        call.onDisconnect = { [weak self, weak call] in
            if let call { self?.remove(call) }
        }
        for job in job.map({ [$0] }) ?? active(call.peer.userID) {
            call.reply(Ingest.JobReply(job: job.snapshot()), continues: true)
        }
        schedule(watcher)
    }

    /// Answers with the number of jobs that have not ended. A call with `more` gets further replies until no job is
    /// left.
    func drain(_ call: any OpenCall) {
        let left = activeCount()
        guard call.wantsMore, left > 0 else {
            return call.reply(Ingest.DrainReply(jobs: left), continues: false)
        }
        drains[ObjectIdentifier(call)] = (call, left)
        call.onDisconnect = { [weak self, weak call] in
            if let call { self?.drains[ObjectIdentifier(call)] = nil }
        }
        call.reply(Ingest.DrainReply(jobs: left), continues: true)
    }

    /// The service does not drain any more. Ends all calls of `Drain`; their last reply has the number of jobs that are
    /// left.
    func endDrains() {
        let left = activeCount()
        for drain in drains.values { drain.call.reply(Ingest.DrainReply(jobs: left), continues: false) }
        drains = [:]
    }

    /// Ends the calls of `Watch` of a user.
    func endWatches(of userID: UInt32, _ error: some VarlinkErrorProtocol) {
        for watcher in watchers.values where watcher.call.peer.userID == userID {
            remove(watcher.call)
            watcher.call.fail(error)
        }
    }

    private func tellDrains() {
        let left = activeCount()
        for (id, drain) in drains where drain.told != left {
            drains[id] = left == 0 ? nil : (drain.call, left)
            // A client that has not read its last reply gets only the next number.
            guard left == 0 || drain.call.unreadReplyBytes == 0 else { continue }
            drain.call.reply(Ingest.DrainReply(jobs: left), continues: left > 0)
        }
    }

    /// A job has changed its state, or has ended.
    func changed(_ job: JobRecord) {
        let isOver = job.ended != nil
        if isOver, !drains.isEmpty { tellDrains() }
        if let ended = job.ended {
            for waiter in waiting.removeValue(forKey: job.id) ?? [] { waiter.answer(ended) }
        }
        guard !watchers.isEmpty else { return }
        let reply = Ingest.JobReply(job: job.snapshot())
        for watcher in watchers.values where concerns(watcher, job) {
            if isOver, watcher.jobID != nil {
                remove(watcher.call)
                watcher.call.reply(reply, continues: false)
            } else {
                watcher.call.reply(reply, continues: true)
                schedule(watcher)
            }
        }
    }

    /// Fails all calls that are left, because the service stops.
    func close(_ error: some VarlinkErrorProtocol) {
        for waiter in waiting.values.joined() { waiter.call.fail(error) }
        waiting = [:]
        for watcher in watchers.values {
            watcher.timer?.cancel()
            watcher.call.fail(error)
        }
        watchers = [:]
        for drain in drains.values { drain.call.fail(error) }
        drains = [:]
    }

    private func concerns(_ watcher: Watcher, _ job: JobRecord) -> Bool {
        if let id = watcher.jobID { return id == job.id }
        return watcher.call.peer.userID == 0 || watcher.call.peer.userID == job.owner.userID
    }

    /// Plans the next report of progress. Only streaming jobs make progress, so there is no timer while a watcher has
    /// none.
    private func schedule(_ watcher: Watcher) {
        guard watcher.timer == nil, !flowing(watcher).isEmpty else { return }
        watcher.timer = loop.after(watcher.interval) { [weak self, weak watcher] in
            guard let self, let watcher else { return }
            watcher.timer = nil
            // A client that has not read its last reply gets only the next report.
            if watcher.call.unreadReplyBytes == 0 {
                for job in flowing(watcher) {
                    watcher.call.reply(Ingest.JobReply(job: job.snapshot()), continues: true)
                }
            }
            schedule(watcher)
        }
    }

    private func flowing(_ watcher: Watcher) -> [JobRecord] {
        let candidates = watcher.jobID.map { find($0).map { [$0] } ?? [] } ?? active(watcher.call.peer.userID)
        return candidates.filter { $0.machine.publicState == .streaming }
    }

    private func remove(_ call: any OpenCall) {
        watchers.removeValue(forKey: ObjectIdentifier(call))?.timer?.cancel()
    }
}
