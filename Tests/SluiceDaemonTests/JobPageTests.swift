import SluiceCore
import SluiceInterface
import Testing
import Unix

@testable import SluiceDaemon

/// Lists in pages.
@Suite("A page of jobs")
struct JobPageTests {
    private func insert(_ table: inout JobTable, of user: UInt32, url: String = "http://h/") throws
        -> JobRecord
    {
        let request = try JobRequest(Ingest.FetchParameters(url: url), settings: Settings())
        let peer = PeerCredentials(processID: 1, userID: user, groupID: user)
        let job = JobRecord(id: table.newID(), request: request, owner: peer)
        table.insert(job)
        return job
    }

    private func end(_ job: JobRecord, _ table: inout JobTable, remember: Int = 1000) {
        _ = job.machine.endRequested(Outcome(.cancelled, "test"))
        table.ended(job, as: job.snapshot(), remember: remember)
    }

    /// All pages, one after the other.
    private func all(_ table: JobTable, _ selection: JobSelection) -> [String] {
        var (selection, ids) = (selection, [String]())
        while true {
            let page = table.page(selection)
            ids += page.jobs.map(\.id)
            guard let next = page.next else { return ids }
            selection.after = next
        }
    }

    @Test("has the requested number of jobs, and all pages together have each job once, the oldest first")
    func pagesHaveEachJobOnce() throws {
        var table = JobTable()
        var jobs: [JobRecord] = []
        for number in 0..<60 { jobs.append(try insert(&table, of: UInt32(7 + number % 3))) }
        for job in jobs[10..<40] { end(job, &table) }
        for limit in [1, 2, 7, 59, 60, 61] {
            #expect(all(table, JobSelection(asker: 0, limit: limit)) == jobs.map(\.id))
            #expect(table.page(JobSelection(asker: 0, limit: limit)).jobs.count == min(limit, 60))
        }
        let own = jobs.filter { $0.owner.userID == 8 }.map(\.id)
        #expect(all(table, JobSelection(asker: 8, limit: 3)) == own)
        #expect(all(table, JobSelection(asker: 0, userID: 8, limit: 3)) == own)
        #expect(all(table, JobSelection(asker: 8, userID: 7, limit: 3)).isEmpty)
        #expect(all(table, JobSelection(asker: 1)).isEmpty)
        #expect(
            all(table, JobSelection(asker: 0, activeOnly: true, limit: 4))
                == (jobs[..<10] + jobs[40...]).map(\.id))
        #expect(all(table, JobSelection(asker: 0, states: [.cancelled], limit: 4)) == jobs[10..<40].map(\.id))
        #expect(all(table, JobSelection(asker: 0, states: [.failed], limit: 4)).isEmpty)
    }

    @Test("is bounded in bytes, and so are the remembered jobs of a user")
    func boundsPagesInBytes() throws {
        var table = JobTable()
        let long = "http://h/" + String(repeating: "a", count: 8000)
        var jobs: [JobRecord] = []
        for _ in 0..<1000 {
            let job = try insert(&table, of: 7, url: long)
            end(job, &table)
            jobs.append(job)
        }
        let page = table.page(JobSelection(asker: 7, limit: 500))
        #expect((10...20).contains(page.jobs.count))
        let ids = all(table, JobSelection(asker: 7, limit: 500))
        #expect((400...500).contains(ids.count), "4 MiB of 8.5 KB each")
        #expect(ids == jobs.suffix(ids.count).map(\.id))
    }

    @Test("has only the running and the remembered jobs after thousands have been forgotten")
    func forgottenJobsLeaveNoGaps() throws {
        var table = JobTable()
        let running = try insert(&table, of: 7)
        for _ in 0..<20_000 { end(try insert(&table, of: 7), &table, remember: 5) }
        let page = table.page(JobSelection(asker: 7))
        #expect(page.jobs.count == 6 && page.jobs.first?.id == running.id && page.next == nil)
    }
}
