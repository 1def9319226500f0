import Glibc
import SluiceCore
import SluiceInterface
import TestKit
import Testing
import UnixSockets

@testable import SluiceDaemon

@Suite("Parts of the daemon")
struct PartsTests {
    @Test("the status line names what there is, what came of it and what is wrong, and nothing else")
    func statusLine() {
        var counts = Ingest.JobCounts()
        var lanes = Ingest.LaneCounts()
        lanes.limit = 96
        lanes.idle = 2
        func line(_ delivered: Int, _ trouble: String? = nil) -> String {
            StatusLine.describe(counts, lanes: lanes, delivered: delivered, trouble: trouble)
        }
        #expect(line(0) == "idle; 0 B delivered")
        counts.streaming = 3
        counts.stalled = 1
        counts.queued = 12
        lanes.busy = 4
        #expect(
            line(1_400_000_000)
                == "3 streaming, 1 stalled, 12 queued; 4 of 96 lanes busy; 1.4 GB delivered")
        counts.connecting = 2
        #expect(line(5).hasPrefix("2 connecting, 3 streaming"))
        counts = Ingest.JobCounts()
        counts.complete = 99
        counts.failed = 2
        lanes.busy = 0
        #expect(line(5) == "idle; 99 complete, 2 failed; 5 B delivered")
        #expect(line(5, "why").hasPrefix("lanes cannot be started (why); idle; 99 complete"))
    }

    @Test("with few descriptors there are fewer connections, some of them for other users, and room for jobs")
    func fewDescriptors() {
        var settings = Settings()
        settings.limits.connections = 1000
        settings.limits.connectionsPerUser = 900
        let few = DescriptorBudget(limit: 256)
        #expect(few.connections(settings) == 128)
        #expect(few.connectionsPerUser(settings) == 64)
        #expect(few.covers(jobs: 1, lanes: 2, connections: 128))
        #expect(!few.covers(jobs: 100, lanes: 2, connections: 128))
        let many = DescriptorBudget(limit: 65_536)
        #expect(many.connections(settings) == 1000)
        #expect(many.connectionsPerUser(settings) == 900)
        // The unit's limit is enough for everything that the settings allow by default.
        #expect(many.covers(Settings()))
        #expect(!few.covers(Settings()))
        #expect(DescriptorBudget(limit: 1).connections(settings) == 1)
        // The descriptors that the jobs leave.
        settings.limits.jobs = 10
        settings.lanes.maximum = 2
        #expect(
            DescriptorBudget(limit: 1000).connections(settings) == 1000 - DescriptorBudget.forItself - 50 - 12
        )
        // The descriptors reserved for root, where there are enough.
        let enough = DescriptorBudget(limit: 1024)
        #expect(
            enough.covers(jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12 - 78))
        #expect(
            !enough.covers(jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12 - 77))
        #expect(
            enough.covers(
                jobs: 10, lanes: 2, connections: 1024 - DescriptorBudget.forItself - 50 - 12, isRoot: true))
        #expect(DescriptorBudget.current.limit > 0)
    }

    @Test("the log's limiter writes a burst, drops the rest, and says how many at the next chance")
    func limiter() {
        let limiter = LogLimiter(burst: 2, interval: .seconds(10))
        let start = ContinuousClock.now
        #expect(limiter.admit(at: start) == .write)
        #expect(limiter.admit(at: start + .seconds(1)) == .write)
        for _ in 0..<5 { #expect(limiter.admit(at: start + .seconds(9)) == .drop) }
        #expect(limiter.admit(at: start + .seconds(10)) == .writeAfterDropping(5))
        #expect(limiter.admit(at: start + .seconds(11)) == .write)
        #expect(limiter.admit(at: start + .seconds(12)) == .drop)
        #expect(limiter.admit(at: start + .seconds(500)) == .writeAfterDropping(1))
    }

    @Test("what one user causes silences nobody else, and all that is dropped is counted")
    func limiters() {
        let limiters = LogLimiters()
        let now = ContinuousClock.now
        var written = 0
        for _ in 0..<500 where limiters.admit(.refusals(of: 7), at: now) == .write { written += 1 }
        #expect(written == 50 && limiters.dropped == 450)
        #expect(limiters.admit(.refusals(of: 8), at: now) == .write)
        for _ in 0..<300 { _ = limiters.admit(.lanes, at: now) }
        #expect(limiters.admit(.service, at: now) == .write)
        #expect(limiters.dropped == 650)
    }

    @Test("of a process its memory and its threads can be told, of none nothing")
    func processNumbers() throws {
        let numbers = try #require(ProcessNumbers(getpid()))
        let memory = numbers.anonymousMemory ?? 0
        #expect(memory > 1 << 20)
        let gate = try Gate()
        let threads = (0..<20).map { _ in TestThread { _ = gate.wait() } }
        let count = numbers.threads ?? 0
        #expect(count > 20)
        gate.open()
        for thread in threads { thread.join() }
        let isThere = ProcessNumbers(0x7fff_ffff) != nil
        #expect(!isThere)
    }

    @Test("numbers by name are those of a hundred names that are active, and of all others together")
    func nameTally() {
        var tally = NameTally()
        let start = ContinuousClock.now
        var one = NameTally.Numbers()
        one.complete = 1
        one.delivered = 10
        for number in 0..<150 { tally.add(one, to: "host-\(number)", at: start) }
        #expect(tally.rows.count == 101 && tally.rows.last?.name == "other")
        #expect(tally.rows.last?.numbers.complete == 50)
        #expect(tally.knows("host-99") && !tally.knows("host-100"))
        // No user can have the name that stands for the others.
        tally.add(one, to: "other", at: start)
        #expect(tally.rows.last?.numbers.complete == 51)
        // A name that has been idle for long makes room, and its numbers are kept.
        for number in 1..<100 {
            tally.add(one, to: "host-\(number)", at: start + NameTally.idleTime)
        }
        tally.add(one, to: "new", at: start + NameTally.idleTime + .seconds(1))
        #expect(tally.knows("new") && !tally.knows("host-0"))
        #expect(tally.rows.last?.numbers.complete == 52)
        #expect(tally.rows.reduce(0) { $0 + $1.numbers.delivered } == 2510)
    }

    @Test("sums since the start never fall, and do not have what came before it")
    func totals() {
        let metrics = ServiceMetrics()
        func numbers(_ received: Int, _ delivered: Int) -> JobAccount.Numbers {
            JobAccount.Numbers(received: received, delivered: delivered)
        }
        metrics.restored(with: numbers(100, 100))
        #expect(metrics.totals(active: numbers(100, 100)).delivered == 0)
        #expect(metrics.totals(active: numbers(150, 120)).received == 50)
        metrics.threwAway(30)
        #expect(metrics.totals(active: numbers(120, 120)).received == 50)
        metrics.ended(Outcome(.complete, "done"), numbers(200, 200))
        #expect(metrics.totals(active: numbers(0, 0)).received == 130)
        #expect(metrics.totals(active: numbers(0, 0)).delivered == 100)
        // A damaged account takes everything back.
        #expect(metrics.totals(active: numbers(50, 50)).delivered == 150)
        metrics.ended(Outcome(.deliveryUncertain, "damaged"), numbers(0, 0))
        #expect(metrics.totals(active: numbers(0, 0)).delivered == 150)
        metrics.ended(Outcome(.complete, "more than can be"), numbers(.max, .max))
        #expect(metrics.totals(active: numbers(.max, .max)).delivered > 150)
        #expect(metrics.count(of: .complete) == 2 && metrics.count(of: .deliveryUncertain) == 1)
        #expect(metrics.restored == 1)
    }

    @Test("the queue keeps its order over thousands of comings and goings")
    func fifo() {
        var queue = FIFO<Int>()
        var next = 0
        var expected = 0
        for round in 0..<3000 {
            for _ in 0..<(round % 5) {
                queue.append(next)
                next += 1
            }
            for _ in 0..<(round % 3) where queue.first != nil {
                #expect(queue.first == expected)
                queue.removeFirst()
                expected += 1
            }
            #expect(queue.count == next - expected)
        }
        while let first = queue.first {
            #expect(first == expected)
            queue.removeFirst()
            expected += 1
        }
        #expect(expected == next && queue.first == nil)
    }

    @Test("a job that was cancelled as the service ended is not taken up again")
    func endingIsStored() throws {
        let job = try job(JobTable(), of: 7)
        _ = job.machine.dispatched()
        _ = job.machine.endRequested(Outcome(.cancelled, "test"))
        let stored = try #require(StoredJob(job).encoded.flatMap { StoredJob(encoded: $0) })
        #expect(stored.ending?.code == .cancelled)
        #expect(stored.isParked == false && stored.id == job.id)
    }

    @Test("a job that is taken up again has the parameters that it had, and the coding of its body")
    func parametersAreStored() throws {
        var parameters = Ingest.FetchParameters(url: "http://h/")
        parameters.headTimeoutSeconds = 0.25
        parameters.minimumSpeed = 1000
        parameters.identity = true
        parameters.allowDowngrade = true
        parameters.http1 = true
        let job = JobRecord(
            id: "a", request: try JobRequest(parameters, settings: Settings()),
            owner: PeerCredentials(processID: 1, userID: 7, groupID: 7))
        var stored = StoredJob(job)
        stored.contentEncoding = "gzip"
        let record = try #require(stored.encoded.flatMap { StoredJob(encoded: $0) }).makeRecord()
        #expect(record.request == job.request)
        #expect(record.snapshot().contentEncoding == "gzip")
        #expect(LaneOrder(serial: 1, request: record.request) == LaneOrder(serial: 1, request: job.request))
    }

    @Test("a job that 0.2.0 has stored has the time that it had, as far as the time of day tells")
    func storedByEarlierVersion() throws {
        let new = try job(JobTable(), of: 7)
        var old = StoredJob(new)
        old.createdUptimeUsec = nil
        old.createdUsec = Realtime.microseconds() - 5_000_000
        old.deadlineUsec = Realtime.microseconds() + 60_000_000
        let record = try #require(old.encoded.flatMap { StoredJob(encoded: $0) }).makeRecord()
        #expect((4_900_000...20_000_000).contains(Uptime.microseconds() - record.createdUptimeUsec))
        #expect((40.0...60.1).contains(try #require(record.secondsLeft)))
        for absurd in [Int.min, Int.max] {
            old.createdUsec = absurd
            old.deadlineUsec = absurd
            let record = try old.makeRecord()
            #expect((0...Uptime.microseconds()).contains(record.createdUptimeUsec))
        }
    }

    // MARK: Jobs

    private func job(_ table: JobTable, of user: UInt32) throws -> JobRecord {
        JobRecord(
            id: table.newID(),
            request: try JobRequest(Ingest.FetchParameters(url: "http://h/"), settings: Settings()),
            owner: PeerCredentials(processID: 1, userID: user, groupID: user))
    }

    private func end(_ job: JobRecord, _ table: inout JobTable, remember: Int) {
        _ = job.machine.endRequested(Outcome(.cancelled, "test"))
        table.ended(job, as: job.snapshot(), remember: remember)
    }

    @Test("a user sees jobs of their own, the oldest first, and root all")
    func visible() throws {
        var table = JobTable()
        var jobs: [JobRecord] = []
        for user: UInt32 in [7, 8, 7, 9, 7] {
            jobs.append(try job(table, of: user))
            table.insert(jobs[jobs.count - 1])
        }
        #expect(table.page(JobSelection(asker: 7)).jobs.map(\.id) == [jobs[0], jobs[2], jobs[4]].map(\.id))
        #expect(table.page(JobSelection(asker: 0)).jobs.map(\.id) == jobs.map(\.id))
        #expect(table.page(JobSelection(asker: 1)).jobs.isEmpty)
        #expect(table.find(jobs[1].id, for: 7)?.snapshot() == nil)
        #expect(table.find(jobs[1].id, for: 8)?.snapshot().id == jobs[1].id)
        #expect(table.find(jobs[1].id, for: 0)?.snapshot().id == jobs[1].id)
        #expect(table.activeCount == 5 && table.activeCount(of: 7) == 3 && table.activeCount(of: 1) == 0)
    }

    @Test("ended jobs are remembered up to the limit, running ones always")
    func memory() throws {
        var table = JobTable()
        let running = try job(table, of: 7)
        table.insert(running)
        var ended: [JobRecord] = []
        for _ in 0..<3000 {
            let job = try job(table, of: 7)
            table.insert(job)
            end(job, &table, remember: 10)
            ended.append(job)
        }
        #expect(table.page(JobSelection(asker: 7)).jobs.map(\.id) == ([running] + ended.suffix(10)).map(\.id))
        #expect(table.activeCount == 1)
        end(running, &table, remember: 0)
        #expect(table.page(JobSelection(asker: 0)).jobs.isEmpty)
        #expect(table.activeCount(of: 7) == 0)
    }

    @Test("ids are 12 letters and digits without look-alikes, and never the same")
    func ids() {
        let table = JobTable()
        let ids = (0..<1000).map { _ in table.newID() }
        #expect(Set(ids).count == 1000)
        #expect(
            ids.allSatisfy {
                $0.count == 12 && $0.allSatisfy { "0123456789abcdefghjkmnpqrstvwxyz".contains($0) }
            })
    }
}
