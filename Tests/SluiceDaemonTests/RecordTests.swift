import Glibc
import Logging
import SluiceCore
import SluiceInterface
import Synchronization
import Testing
import Unix

@testable import SluiceDaemon

@Suite("Records of jobs in the log")
struct RecordTests {
    private final class Entries: Sendable {
        let all = Mutex<[(message: String, metadata: Logger.Metadata)]>([])
    }

    private struct Collector: LogHandler {
        let entries: Entries
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .debug

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            entries.all.withLock { $0.append((event.message.description, event.metadata ?? [:])) }
        }
    }

    private let entries = Entries()
    private let log: ServiceLog

    init() {
        let entries = entries
        log = ServiceLog(Logger(label: "test") { _ in Collector(entries: entries) })
    }

    private func job(_ url: String = "http://host.example/path?secret=1", user: UInt32) throws -> JobRecord {
        JobRecord(
            id: "job\(user)", request: try JobRequest(Ingest.FetchParameters(url: url), settings: Settings()),
            owner: PeerCredentials(processID: 17, userID: user, groupID: user),
            program: "/usr/bin/fetcher")
    }

    @Test("a job's acceptance and end are recorded, however many other messages came before")
    func noiseSuppressesNoRecords() throws {
        let job = try job(user: 7)
        for _ in 0..<4000 { log.stalled(job) }
        let before = entries.all.withLock { $0.count }
        #expect(before < 4000)
        for _ in 0..<500 {
            log.queued(job)
            log.finished(job, Outcome(.complete, "done"))
        }
        let recorded = entries.all.withLock { $0[before...].map(\.message) }
        #expect(recorded.count { $0 == "job accepted" } == 500)
        #expect(recorded.count { $0 == "job complete" } == 500)
    }

    @Test("a record names the job, its user, its program, the host and the outcome, but not the URL's query")
    func recordDescribesJob() throws {
        let job = try job(user: 7)
        log.queued(job)
        log.finished(job, Outcome(.httpStatus, "404"))
        let all = entries.all.withLock { $0.map(\.metadata) }
        for fields in all {
            #expect(fields["SLUICE_USER"] == "7" && fields["SLUICE_PID"] == "17")
            #expect(fields["SLUICE_EXECUTABLE"] == "/usr/bin/fetcher")
            #expect(fields["SLUICE_JOB"] == "job7" && fields["SLUICE_BYTES"] == "0")
            #expect(fields["SLUICE_HOST"]?.description.contains("host.example") == true)
        }
        #expect(all.first?["SLUICE_URL"]?.description.contains("secret=1") == false)
        #expect(all.last?["SLUICE_OUTCOME"] == "httpStatus")
    }

    @Test("every message about a job names the job and its user")
    func everyMessageNamesJobAndUser() throws {
        let job = try job(user: 8)
        log.dispatched(job)
        log.responded(job)
        log.stalled(job)
        log.resumed(job)
        log.attemptFailed(job, Outcome(.connectFailed, "no"), pause: 1)
        log.parked(job)
        log.unparked(job)
        log.restored(job)
        log.laneHangs(job, 3, "why")
        log.laneReplaced(3, job)
        log.laneDied(3, "signal 9", job)
        log.trouble(.storeFailed, "trouble", "why", job: job)
        let all = entries.all.withLock { $0 }
        #expect(all.count == 12)
        for entry in all {
            #expect(
                entry.metadata["SLUICE_JOB"] == "job8" && entry.metadata["SLUICE_USER"] == "8", "\(entry)")
        }
    }

    @Test("a long URL is truncated, so that no client can push others out of the journal with a few jobs")
    func truncatesLongURL() throws {
        log.queued(try job("http://h/" + String(repeating: "x", count: 8000), user: 7))
        let url = entries.all.withLock { $0.first?.metadata["SLUICE_URL"]?.description }
        #expect(url?.count == 1024 && url?.hasSuffix("x…") == true)
    }

    @Test("a client's program is found by its process ID, and not taken from a process of another user")
    func findsProgramOfClient() throws {
        let own = PeerCredentials(processID: getpid(), userID: getuid(), groupID: getgid())
        let path = try #require(ClientProgram.find(own))
        #expect(path.hasPrefix("/") && access(path, F_OK) == 0)
        var other = own
        other.userID += 1
        #expect(ClientProgram.find(other) == nil)
        // The service manager of a container, for example, has no number in this PID namespace.
        other.processID = 0
        #expect(ClientProgram.find(other) == nil)
        other.processID = .max
        #expect(ClientProgram.find(other) == nil)
    }
}
