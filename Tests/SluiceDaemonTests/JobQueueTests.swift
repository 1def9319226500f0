import SluiceCore
import SluiceInterface
import Testing
import Unix

@testable import SluiceDaemon

@Suite("The queue for lanes")
struct JobQueueTests {
    /// A queue with a clock of its own. It is a class so that it can change within an expectation.
    private final class Queue {
        private final class Clock { var now: UInt64 = 1_000_000_000 }

        private let clock: Clock
        private var queue: JobQueue

        init() {
            let clock = Clock()
            self.clock = clock
            queue = JobQueue(clock: { clock.now })
        }

        var rules: JobQueue.Rules {
            get { queue.rules }
            set { queue.rules = newValue }
        }
        var runnable: Int { queue.runnable }
        func passes(milliseconds: UInt64) { clock.now += milliseconds * 1_000_000 }
        func next(but passed: Set<UInt32> = []) -> JobRecord? { queue.next(but: passed) }
        func first(of user: UInt32) -> JobRecord? { queue.first(of: user) }
        func begin(_ job: JobRecord) { queue.begin(job) }
        func isOver(_ job: JobRecord) { queue.isOver(job) }
        func enter(_ job: JobRecord, isBack: Bool = false) { queue.enter(job, isBack: isBack) }
        func hasEnded(_ job: JobRecord) { queue.hasEnded(job) }
        func hostIsOpen(_ host: String) { queue.hostIsOpen(host) }
        func removeAll(running: [JobRecord]) -> [JobRecord] { queue.removeAll(running: running) }

        /// Begins all jobs that may begin.
        func beginAll() -> [JobRecord] {
            var begun: [JobRecord] = []
            while let job = next() {
                begin(job)
                begun.append(job)
            }
            return begun
        }
    }

    private func job(_ user: UInt32, at host: String = "origin.test") throws -> JobRecord {
        let request = try JobRequest(
            Ingest.FetchParameters(url: "http://\(host)/"), settings: Settings())
        return JobRecord(
            id: JobTable().newID(), request: request,
            owner: PeerCredentials(processID: 1, userID: user, groupID: user))
    }

    private func cancel(_ job: JobRecord, in queue: Queue) {
        _ = job.machine.endRequested(Outcome(.cancelled, "test"))
        queue.hasEnded(job)
    }

    @Test("users take turns, each user's jobs keep their order, and ended jobs are passed over")
    func usersTakeTurns() throws {
        let queue = Queue()
        var all: [UInt32: [JobRecord]] = [:]
        for (user, count): (UInt32, Int) in [(7, 300), (8, 2), (9, 3)] {
            for _ in 0..<count {
                let job = try job(user)
                all[user, default: []].append(job)
                queue.enter(job)
            }
        }
        #expect(queue.runnable == 305)
        // Most jobs of the first user end while they wait.
        for job in all[7]?.dropFirst(3) ?? [] { cancel(job, in: queue) }
        #expect(queue.runnable == 8)
        let begun = queue.beginAll()
        let order = begun.map(\.owner.userID)
        #expect(order.prefix(3).sorted() == [7, 8, 9] && order.dropFirst(3).prefix(3).sorted() == [7, 8, 9])
        #expect(order.count == 8 && begun.allSatisfy { $0.line.place == .none })
        for user in [7, 9] as [UInt32] {
            #expect(begun.filter { $0.owner.userID == user }.map(\.id) == all[user]?.prefix(3).map(\.id))
        }
    }

    @Test("a job that comes back has its old place, and a job that tries again goes to the end")
    func returningJobKeepsItsPlace() throws {
        let queue = Queue()
        let jobs = try (0..<3).map { _ in try job(7) }
        for job in jobs { queue.enter(job) }
        let first = try #require(queue.next())
        queue.begin(first)
        queue.isOver(first)
        queue.enter(first, isBack: true)
        #expect(queue.next() === first)
        queue.begin(first)
        queue.isOver(first)
        queue.enter(first)
        #expect(queue.beginAll().map(\.id) == [jobs[1].id, jobs[2].id, first.id])
    }

    @Test("a user gets no more lanes than its limit, and other users continue")
    func limitsLanesOfUser() throws {
        let queue = Queue()
        queue.rules.lanes = { $0 == 7 ? 2 : .max }
        for _ in 0..<5 { queue.enter(try job(7)) }
        queue.enter(try job(8))
        #expect(queue.runnable == 3)
        var begun: [JobRecord] = []
        while let job = queue.next() {
            queue.begin(job)
            begun.append(job)
        }
        #expect(begun.map(\.owner.userID).sorted() == [7, 7, 8] && queue.runnable == 0)
        queue.isOver(try #require(begun.first { $0.owner.userID == 7 }))
        #expect(queue.runnable == 1 && queue.next()?.owner.userID == 7)
    }

    @Test("jobs that wait for a host do not block other jobs, and get the host's slots in turn")
    func waitingForHostBlocksNoOthers() throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? 2 : nil }
        for _ in 0..<4 { queue.enter(try job(7, at: "busy.test")) }
        queue.enter(try job(7))
        // A name with a dot at the end is the same host.
        queue.enter(try job(8, at: "busy.test."))
        #expect(queue.runnable == 3)
        var begun = queue.beginAll()
        #expect(
            begun.count { $0.queue.slot == "busy.test" } == 2 && begun.count { $0.queue.slot == nil } == 1)
        #expect(Set(begun.map(\.owner.userID)) == [7, 8])
        // As the two end, the others follow one by one.
        for round in 0..<3 {
            queue.passes(milliseconds: 10)
            let over = try #require(begun.first { $0.queue.slot != nil })
            begun.removeAll { $0 === over }
            queue.isOver(over)
            let next = queue.beginAll()
            #expect(next.count == 1 && next[0].owner.userID == 7, "\(round)")
            begun += next
        }
        for job in begun { queue.isOver(job) }
        #expect(queue.next() == nil)
    }

    @Test("users of equal weight take turns at a host's slots", arguments: [1, 2])
    func usersTakeTurnsAtHost(slots: Int) throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? slots : nil }
        for _ in 0..<8 { for user in [7, 8, 9] as [UInt32] { queue.enter(try job(user, at: "busy.test")) } }
        var order: [UInt32] = []
        var running = queue.beginAll()
        while !running.isEmpty {
            order += running.map(\.owner.userID)
            queue.passes(milliseconds: 50)
            for job in running { queue.isOver(job) }
            running = queue.beginAll()
        }
        #expect(order.count == 24)
        for user in [7, 8, 9] as [UInt32] {
            let early = order.prefix(12).count { $0 == user }
            #expect((3...5).contains(early), "\(order)")
        }
    }

    @Test("when a job that waits for a lane ends, the jobs behind it at the host are not forgotten")
    func jobEndingInQueueBlocksNone() throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? 1 : nil }
        let jobs = try (0..<3).map { _ in try job(7, at: "busy.test") }
        for job in jobs { queue.enter(job) }
        let first = queue.beginAll()
        #expect(first.count == 1)
        queue.isOver(first[0])
        // The next job is in the queue again, and has no lane yet.
        cancel(jobs[1], in: queue)
        #expect(queue.beginAll().map(\.id) == [jobs[2].id])
    }

    @Test("a user whose jobs cannot run takes no slot of a host, so that other users get it")
    func barredUserTakesNoSlot() throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? 2 : nil }
        queue.rules.lanes = { $0 == 7 ? 1 : .max }
        queue.enter(try job(7))
        #expect(queue.beginAll().count == 1)
        for _ in 0..<2 { queue.enter(try job(7, at: "busy.test")) }
        queue.enter(try job(8, at: "busy.test"))
        #expect(queue.beginAll().map(\.owner.userID) == [8])
    }

    @Test(
        "a user's jobs at a host begin in order of age, however slots come and go and whatever jobs come later"
    )
    func olderJobsComeFirstAtHost() throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? 3 : nil }
        queue.rules.lanes = { _ in 2 }
        var jobs: [JobRecord] = []
        func come() throws {
            jobs.append(try job(7, at: "busy.test"))
            queue.enter(jobs[jobs.count - 1])
        }
        for _ in 0..<10 { try come() }
        var order: [String] = []
        var running = queue.beginAll()
        while !running.isEmpty {
            order += running.map(\.id).filter { !order.contains($0) }
            if jobs.count < 15 { try come() }
            queue.isOver(running.removeFirst())
            running += queue.beginAll()
        }
        #expect(order == jobs.map(\.id))
    }

    @Test("jobs for a closed host wait until it opens, and later jobs do not overtake them")
    func jobsWaitAtClosedHost() throws {
        let queue = Queue()
        final class Door { var isOpen = true }
        let door = Door()
        queue.rules.slots = { $0 == "slow.test" ? 8 : nil }
        queue.rules.isOpen = { _ in door.isOpen }
        let jobs = try (0..<3).map { _ in try job(7, at: "slow.test") }
        for job in jobs { queue.enter(job) }
        let first = try #require(queue.next())
        queue.begin(first)
        door.isOpen = false
        #expect(queue.next() == nil)
        queue.enter(try job(7))
        #expect(queue.next()?.request.url.origin.host == "origin.test")
        // A job that ends while it waits is skipped; a job that comes later stays behind the others.
        cancel(jobs[1], in: queue)
        let late = try job(7, at: "slow.test")
        queue.enter(late)
        queue.isOver(first)
        door.isOpen = true
        queue.hostIsOpen("slow.test")
        #expect(queue.beginAll().filter { $0.queue.slot != nil }.map(\.id) == [jobs[2].id, late.id])
    }

    @Test("after a change of the settings slots are counted anew, including those of running jobs")
    func recountsSlotsForNewRules() throws {
        let queue = Queue()
        let running = try (0..<2).map { _ in try job(7, at: "busy.test") }
        for job in running {
            queue.enter(job)
            queue.begin(try #require(queue.next()))
        }
        queue.enter(try job(8, at: "busy.test"))
        queue.rules.slots = { _ in 2 }
        for job in queue.removeAll(running: running) { queue.enter(job, isBack: true) }
        #expect(queue.next() == nil)
        queue.isOver(running[0])
        #expect(queue.next()?.owner.userID == 8)
    }

    @Test("users for whom there is no lane are passed over")
    func passesOverUsersWithoutLane() throws {
        let queue = Queue()
        queue.enter(try job(7))
        queue.enter(try job(8))
        let first = try #require(queue.next())
        let other = try #require(queue.next(but: [first.owner.userID]))
        #expect(other !== first && queue.next(but: [7, 8]) == nil)
        #expect(queue.first(of: first.owner.userID) === first)
    }
}
