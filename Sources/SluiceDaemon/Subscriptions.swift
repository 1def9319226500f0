internal import EventLoop
internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets
internal import Varlink

/// Who waits for what: the calls of `Wait`, `Watch`, `Cancel` and `Drain` that are not answered yet. Belongs to the loop's
/// thread.
final class Subscriptions {
    /// A call of `Watch`.
    private final class Watcher {
        let call: VarlinkCall
        let jobID: String?
        let interval: Duration
        var timer: Timer?

        init(call: VarlinkCall, jobID: String?, interval: Duration) {
            self.call = call
            self.jobID = jobID
            self.interval = interval
        }
    }

    /// A call that is answered when a job has ended.
    private struct Waiter {
        let call: VarlinkCall
        /// `Fetch` itself, called with `more`.
        let isFetch: Bool

        func answer(_ ended: EndedJob) {
            guard let job = ended.encoded, let id = EncodedValue(word: ended.job.id) else {
                // Whatever is wrong with it is reported, and the call answered.
                return call.reply(Ingest.JobReply(job: ended.job))
            }
            call.reply(isFetch ? EncodedParameters(["id": id, "job": job]) : EncodedParameters(["job": job]))
        }
    }

    private let loop: EventLoop
    /// As many `Watch` calls may one user have at a time: each costs something whenever a job moves.
    static let watchersPerUser = 64

    private let active: (UInt32) -> [JobRecord]
    private let find: (String) -> JobRecord?
    private var waiting: [String: [Waiter]] = [:]
    private var watchers: [ObjectIdentifier: Watcher] = [:]
    /// Calls of `Drain` that are told how many jobs are left, and how many they were told.
    private var drains: [ObjectIdentifier: (call: VarlinkCall, told: Int)] = [:]
    private let activeCount: () -> Int

    /// - Parameters:
    ///   - active: the jobs that a user may see and that have not ended.
    ///   - activeCount: how many have not ended, of all users.
    ///   - find: one that has not ended.
    init(
        loop: EventLoop, active: @escaping (UInt32) -> [JobRecord], activeCount: @escaping () -> Int,
        find: @escaping (String) -> JobRecord?
    ) {
        self.loop = loop
        self.active = active
        self.activeCount = activeCount
        self.find = find
    }

    /// How many `Watch` calls of a user are not over.
    func watcherCount(of userID: UInt32) -> Int {
        watchers.values.count { $0.call.peer.userID == userID }
    }

    /// Answers when the job has ended.
    ///
    /// - Parameter isFetch: the call is the `Fetch` that has made the job.
    func wait(_ call: VarlinkCall, for job: JobRecord, isFetch: Bool = false) {
        let id = job.id
        waiting[id, default: []].append(Waiter(call: call, isFetch: isFetch))
        call.onDisconnect = { [weak self, weak call] in
            guard let self, let call else { return }
            waiting[id]?.removeAll { $0.call === call }
            if waiting[id]?.isEmpty == true { waiting[id] = nil }
        }
    }

    /// Answers again and again: about one job until it has ended, or about all of the caller's.
    func watch(_ call: VarlinkCall, _ job: JobRecord?, interval: Duration) {
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

    /// Answers with how many jobs have not ended; a call that may have more replies is told again until none is left.
    func drain(_ call: VarlinkCall) {
        let left = activeCount()
        guard call.wantsMore, left > 0 else { return call.reply(Ingest.DrainReply(jobs: left)) }
        drains[ObjectIdentifier(call)] = (call, left)
        call.onDisconnect = { [weak self, weak call] in
            if let call { self?.drains[ObjectIdentifier(call)] = nil }
        }
        call.reply(Ingest.DrainReply(jobs: left), continues: true)
    }

    /// The service does not drain any more: nobody waits for its end. The last reply has what is left.
    func endDrains() {
        let left = activeCount()
        for drain in drains.values { drain.call.reply(Ingest.DrainReply(jobs: left)) }
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
            // A client that is behind gets the next one instead.
            guard left == 0 || drain.call.unreadReplyBytes == 0 else { continue }
            drain.call.reply(Ingest.DrainReply(jobs: left), continues: left > 0)
        }
    }

    /// A job is in another state.
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
                watcher.call.reply(reply)
            } else {
                watcher.call.reply(reply, continues: true)
                schedule(watcher)
            }
        }
    }

    /// Answers whoever is left, because the service stops.
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

    /// Progress while bytes flow. A stalled or waiting job has none, so there is no timer for it.
    private func schedule(_ watcher: Watcher) {
        guard watcher.timer == nil, !flowing(watcher).isEmpty else { return }
        watcher.timer = loop.after(watcher.interval) { [weak self, weak watcher] in
            guard let self, let watcher else { return }
            watcher.timer = nil
            // A client that is behind gets the next one instead.
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

    private func remove(_ call: VarlinkCall) {
        watchers.removeValue(forKey: ObjectIdentifier(call))?.timer?.cancel()
    }
}
