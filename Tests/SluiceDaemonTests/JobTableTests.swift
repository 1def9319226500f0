import SluiceCore
import SluiceInterface
import Testing

@testable import SluiceDaemon

@Suite("The table of jobs") struct JobTableTests {
    @Test("a user sees only their own jobs, the oldest first, and root sees all jobs")
    func usersSeeOnlyTheirJobs() throws {
        var table = JobTable()
        var jobs: [JobRecord] = []
        for user: UInt32 in [7, 8, 7, 9, 7] {
            jobs.append(try JobRecord.example(table.newID(), of: user))
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

    @Test("ended jobs are remembered up to the limit, running jobs always")
    func remembersEndedJobsUpToLimit() throws {
        var table = JobTable()
        let running = try JobRecord.example(table.newID())
        table.insert(running)
        var ended: [JobRecord] = []
        for _ in 0..<3000 {
            let job = try JobRecord.example(table.newID())
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

    @Test("IDs consist of 12 letters and digits without look-alikes, and are never the same")
    func identifiersAreUniqueAndReadable() {
        let table = JobTable()
        let ids = (0..<1000).map { _ in table.newID() }
        #expect(Set(ids).count == 1000)
        #expect(
            ids.allSatisfy {
                $0.count == 12 && $0.allSatisfy { "0123456789abcdefghjkmnpqrstvwxyz".contains($0) }
            })
    }

    private func end(_ job: JobRecord, _ table: inout JobTable, remember: Int) {
        job.endForTest()
        table.ended(job, as: job.snapshot(), remember: remember)
    }
}
