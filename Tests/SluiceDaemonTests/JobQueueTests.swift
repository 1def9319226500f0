import SluiceCore
import SluiceInterface
import Testing
import UnixSockets

@testable import SluiceDaemon

@Suite("The queue for lanes")
struct JobQueueTests {
    /// So that it can change within an expectation.
    private final class Queue {
        private var queue = JobQueue()
        var rules: JobQueue.Rules {
            get { queue.rules }
            set { queue.rules = newValue }
        }
        var runnable: Int { queue.runnable }
        func next() -> JobRecord? { queue.next() }
        func begin(_ job: JobRecord) { queue.begin(job) }
        func isOver(_ job: JobRecord) { queue.isOver(job) }
        func enter(_ job: JobRecord, atHead isFirst: Bool = false) { queue.enter(job, atHead: isFirst) }
        func hasEnded(_ job: JobRecord) { queue.hasEnded(job) }
        func hostIsOpen(_ host: String) { queue.hostIsOpen(host) }
        func removeAll(running: [JobRecord]) -> [JobRecord] { queue.removeAll(running: running) }
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

    @Test("users take turns, and each one's jobs keep their order; ended ones are passed over")
    func turns() throws {
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
        // Most of those of the first user end while they wait.
        for job in all[7]?.dropFirst(3) ?? [] { cancel(job, in: queue) }
        #expect(queue.runnable == 8)
        var order: [UInt32] = []
        var taken: [UInt32: [String]] = [:]
        while let job = queue.next() {
            queue.begin(job)
            order.append(job.owner.userID)
            taken[job.owner.userID, default: []].append(job.id)
            #expect(job.place == .none)
        }
        #expect(order.prefix(3).sorted() == [7, 8, 9] && order.dropFirst(3).prefix(3).sorted() == [7, 8, 9])
        #expect(order.count == 8 && queue.runnable == 0)
        #expect(taken[7] == all[7]?.prefix(3).map(\.id) && taken[9] == all[9]?.map(\.id))
        let late = try job(7)
        queue.enter(late)
        queue.enter(try job(7), atHead: true)
        #expect(queue.next() !== late && queue.removeAll(running: []).count == 2 && queue.next() == nil)
    }

    @Test("a user has no more lanes than are the user's, and others go on")
    func lanes() throws {
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

    @Test("jobs that wait for a host stand in nobody's way, and get its slots in turn")
    func hosts() throws {
        let queue = Queue()
        queue.rules.slots = { $0 == "busy.test" ? 2 : nil }
        for _ in 0..<4 { queue.enter(try job(7, at: "busy.test")) }
        queue.enter(try job(7))
        queue.enter(try job(8, at: "busy.test"))
        #expect(queue.runnable == 3)
        var begun: [JobRecord] = []
        func beginAll() {
            while let job = queue.next() {
                queue.begin(job)
                begun.append(job)
            }
        }
        beginAll()
        #expect(begun.map(\.request.url.origin.host) == ["busy.test", "busy.test", "origin.test"])
        // A slot that is free goes to the user who has none; then they take turns.
        queue.isOver(begun[0])
        beginAll()
        #expect(begun.last?.owner.userID == 8 && begun.count == 4)
        // One that ends while it waits has no slot, and one that ends in the queue gives its own back.
        queue.isOver(begun[1])
        let admitted = try #require(queue.next())
        #expect(admitted.owner.userID == 7 && admitted.slot == "busy.test")
        cancel(admitted, in: queue)
        beginAll()
        #expect(begun.count == 5)
        queue.isOver(begun[3])
        queue.isOver(begun[4])
        #expect(queue.next() == nil)
    }

    @Test("at a host that is closed for now jobs wait until it is open, those that were let in, too")
    func closedHost() throws {
        let queue = Queue()
        final class Door { var isOpen = true }
        let door = Door()
        queue.rules.slots = { $0 == "slow.test" ? 8 : nil }
        queue.rules.isOpen = { _ in door.isOpen }
        for _ in 0..<3 { queue.enter(try job(7, at: "slow.test")) }
        let first = try #require(queue.next())
        queue.begin(first)
        door.isOpen = false
        #expect(queue.next() == nil && queue.runnable == 0)
        queue.enter(try job(7))
        #expect(queue.next()?.request.url.origin.host == "origin.test")
        queue.isOver(first)
        #expect(queue.runnable == 1)
        door.isOpen = true
        queue.hostIsOpen("slow.test")
        #expect(queue.runnable == 3)
    }

    @Test("after a change of the settings slots are counted anew, those of jobs that run among them")
    func newRules() throws {
        let queue = Queue()
        let running = try (0..<2).map { _ in try job(7, at: "busy.test") }
        for job in running {
            queue.enter(job)
            queue.begin(try #require(queue.next()))
        }
        queue.enter(try job(8, at: "busy.test"))
        queue.rules.slots = { _ in 2 }
        for job in queue.removeAll(running: running) { queue.enter(job) }
        #expect(queue.next() == nil)
        queue.isOver(running[0])
        #expect(queue.next()?.owner.userID == 8)
    }
}
