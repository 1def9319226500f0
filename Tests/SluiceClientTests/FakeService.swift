import EventLoop
import Glibc
import SluiceInterface
import Synchronization
import SystemPackage
import TestKit
import Unix
import Varlink

/// A service that does what a test wants, with one script for every job.
///
/// ## Concurrency model
/// The service and the jobs' calls belong to the loop's thread. A separate thread writes each body. Locks guard the
/// values that tests read.
final class FakeService: Sendable {
    /// What follows the bytes of the body.
    enum Ending: Sendable {
        /// The pipe ends, and the job ends with this outcome.
        case outcome(OutcomeCode)
        /// Nothing, until the job is cancelled or its reader has gone.
        case silence
        /// The pipe ends, and the service and its socket are gone.
        case vanish
    }

    struct Script: Sendable {
        var body: [UInt8] = []
        var ending = Ending.outcome(.complete)
        var failure: VarlinkErrorReply?
        /// The number of calls of Fetch that fail; all by default.
        var failures = Int.max
        /// The number of bytes that the service claims to have delivered, if not the real one.
        var claimedBytes: Int?
        /// The number of bytes after which the body waits for `proceed`; nil for no wait.
        var holdsAfter: Int?
        /// The first call of Fetch is never answered.
        var ignoresFirstFetch = false
        /// The version of the body. The next field is its digest.
        var etag: String?
        var digest: String?
        /// Further fields that the job has from its beginning.
        var attempts: [Attempt] = []
        var state = JobState.streaming
        var retryUsec: Int?
    }

    let path: String
    private let directory: TemporaryDirectory
    private let loop: EventLoop
    private let thread: TestThread
    private let script: Script
    private let gate: Gate
    private let seen = Mutex<[Ingest.FetchParameters]>([])
    private let sent = Mutex(0)
    private let cancelled = Mutex<[String]>([])
    /// Only the loop's thread uses it.
    private let jobs: LoopConfined

    /// The requests that came.
    var requests: [Ingest.FetchParameters] { seen.withLock { $0 } }
    /// The jobs that were cancelled.
    var cancellations: [String] { cancelled.withLock { $0 } }

    init(_ script: Script = Script()) throws {
        // In these tests readers close their pipes early.
        signal(SIGPIPE, SIG_IGN)
        directory = try TemporaryDirectory("fake")
        path = directory.file("socket")
        self.script = script
        gate = try Gate()
        let loop = try EventLoop()
        self.loop = loop
        jobs = LoopConfined()
        thread = TestThread { loop.run() }
        let listener = try UnixSocket.listen(path: path).release()
        loop.execute { [self] in serve(listener) }
    }

    /// Stops the service and removes the socket file.
    func stop() {
        loop.stop()
        thread.join()
        directory.remove()
    }

    /// Calls of Wait, Watch and Cancel that are not answered yet.
    var waitingCalls: Int {
        get throws {
            let count = Locked(0)
            try onLoop { [self] in count.set(jobs.all.reduce(0) { $0 + $1.waiting.count }) }
            return count.get()
        }
    }

    /// Bytes that have gone into the bodies' pipes.
    var sentBytes: Int { sent.withLock { $0 } }

    private func onLoop(_ body: @escaping @Sendable () -> Void) throws {
        let done = try Gate()
        loop.execute {
            body()
            done.open()
        }
        guard done.wait() else { throw TestFailure("the loop does not come to it") }
    }

    /// Lets every waiting body continue.
    func proceed() { gate.open() }

    /// Goes away like a service that is killed: its socket and its connections close. Returns when that is done.
    ///
    /// - Parameters:
    ///   - forgetting: whether the jobs' pipes end, too. Otherwise they are kept, as in a store.
    ///   - error: the answer to all calls that wait.
    func goDown(forgetting: Bool = false, saying error: String? = nil) throws {
        unlink(path)
        let done = try Gate()
        loop.execute { [self] in
            // Waiting calls get no answer. They may be released once their connections are closed.
            let orphans = jobs.all.flatMap(\.waiting)
            if let error { for call in orphans { call.fail(VarlinkErrorReply(error)) } }
            for job in jobs.all {
                job.waiting = []
                if forgetting { job.wake.signal.raise() }
            }
            if forgetting { jobs.all = [] }
            let service = jobs.service
            jobs.service = nil
            service?.close(within: .milliseconds(1)) { [orphans, service] in
                _ = (orphans, service)
                done.open()
            }
        }
        guard done.wait() else { throw TestFailure("the service does not go down") }
    }

    /// Listens again, at the same path.
    func comeBack() throws {
        let listener = try UnixSocket.listen(path: path).release()
        try onLoop { [self] in serve(listener) }
    }

    private func serve(_ listener: CInt) {
        do {
            var limits = VarlinkLimits()
            limits.flushTimeout = .milliseconds(1)
            let info = ServiceInfo(vendor: "test", product: "fake", version: "0", url: "")
            let service = VarlinkService(loop: loop, info: info, limits: limits)
            try service.add(InterfaceDescription(Ingest.description))
            try service.handle(name("Fetch")) { [unowned self] in try fetch($0) }
            try service.handle(name("Wait")) { [unowned self] in try attend($0, watches: false) }
            try service.handle(name("Watch")) { [unowned self] in try attend($0, watches: true) }
            try service.handle(name("Show")) { [unowned self] call in
                call.reply(Ingest.JobReply(job: try job(of: call).job))
            }
            try service.handle(name("Cancel")) { [unowned self] in try cancel($0) }
            try service.handle(name("List")) { [unowned self] call in
                let asked = try call.parameters(as: Ingest.ListParameters.self)
                let all = jobs.all.map(\.job).filter { asked.active != true || $0.outcome == nil }
                // Pages have two jobs, so that a client has to ask for the next page.
                let first = min(asked.after ?? 0, all.count)
                let last = min(first + min(asked.limit ?? 2, 2), all.count)
                call.reply(
                    Ingest.ListReply(jobs: Array(all[first..<last]), next: last < all.count ? last : nil))
            }
            try service.handle(name("Status")) { call in
                call.reply(
                    Ingest.StatusReply(
                        version: "0", processID: 1, startedUsec: 0, status: "idle", jobs: .init(),
                        lanes: .init(),
                        bytesDelivered: 0, pipeBytes: 0, pipeBudget: 0, connections: 1))
            }
            try service.listen(on: OwnedDescriptor(adopting: listener))
            jobs.service = service
        } catch {
            // No service listens then, and the test announces that.
            close(listener)
        }
    }

    private func name(_ method: String) -> String { "\(Ingest.interfaceName).\(method)" }

    private func fetch(_ call: VarlinkCall) throws {
        let request = try call.parameters(as: Ingest.FetchParameters.self)
        seen.withLock { $0.append(request) }
        if let failure = script.failure, requests.count <= script.failures { return call.fail(failure) }
        if script.ignoresFirstFetch, requests.count == 1 {
            jobs.ignored = call
            return
        }
        var pipe = try Pipe()
        let wake = try EventSignal()
        jobs.made += 1
        let job = FakeJob(id: "job\(jobs.made)", url: request.url, wake: wake)
        job.job.contentLength = script.body.count
        job.job.state = script.state
        job.job.attemptLog = script.attempts
        job.job.attempts = script.attempts.count
        job.job.retryUsec = script.retryUsec
        jobs.all.append(job)
        var readEnd = OwnedDescriptor(adopting: -1)
        swap(&readEnd, &pipe.readEnd)
        let index = call.push(readEnd)
        call.reply(Ingest.FetchReply(id: job.job.id, bodyFileDescriptor: index))
        var writeEnd = OwnedDescriptor(adopting: -1)
        swap(&writeEnd, &pipe.writeEnd)
        feed(job, writeEnd.release())
    }

    /// Writes the body, waits as the script says, and reports the end to the loop.
    private func feed(_ job: FakeJob, _ writeEnd: CInt) {
        let script = script
        let wake = job.wake
        let id = job.job.id
        TestThread.detached { [self] in
            var sent = 0
            var isReaderGone = false
            var isHeld = script.holdsAfter != nil
            while sent < script.body.count, !isReaderGone {
                if isHeld, sent == script.holdsAfter {
                    // This wait is needed even where the gate is open: the job may be over, which comes first.
                    isReaderGone = wait(writeEnd, for: 0, or: wake, or: gate.descriptor)
                    isHeld = false
                    continue
                }
                let end = sent < script.holdsAfter ?? 0 ? script.holdsAfter ?? 0 : script.body.count
                let count = script.body[sent..<end].withUnsafeBytes {
                    write(writeEnd, $0.baseAddress, $0.count)
                }
                if count > 0 {
                    sent += count
                    self.sent.withLock { $0 += count }
                } else {
                    isReaderGone = wait(writeEnd, for: CInt(POLLOUT), or: wake)
                }
            }
            if case .silence = script.ending, !isReaderGone {
                isReaderGone = wait(writeEnd, for: 0, or: wake)
            }
            close(writeEnd)
            let total = sent
            let gone = isReaderGone
            loop.execute { [self] in finish(id, total, readerGone: gone) }
        }
    }

    /// - Returns: whether the job is over: the reader has gone or the job was cancelled.
    private func wait(
        _ writeEnd: CInt, for events: CInt, or wake: FakeSignal, or third: CInt = -1
    ) -> Bool {
        var entries = [
            pollfd(fd: writeEnd, events: Int16(events), revents: 0),
            pollfd(fd: wake.signal.descriptor.rawValue, events: Int16(POLLIN), revents: 0),
            pollfd(fd: third, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&entries, 3, -1) < 0, errno == EINTR {}
        return entries[1].revents != 0 || CInt(entries[0].revents) & POLLERR != 0
    }

    private func finish(_ id: String, _ sent: Int, readerGone: Bool) {
        guard let job = jobs.all.first(where: { $0.job.id == id }) else { return }
        job.job.bytesDelivered = script.claimedBytes ?? sent
        job.job.etag = script.etag
        job.job.digest = script.digest
        let code: OutcomeCode
        switch script.ending {
        case _ where job.isCancelled: code = .cancelled
        case _ where readerGone: code = .consumerGone
        case .outcome(let wanted): code = wanted
        case .silence: code = .silenceTimeout
        case .vanish:
            // Waiting calls are never answered: their connections close.
            unlink(path)
            jobs.service?.close()
            return
        }
        job.job.state = code.state
        job.job.outcome = Outcome(code, "it ended as \(code.rawValue)")
        for call in job.waiting { call.reply(Ingest.JobReply(job: job.job)) }
        job.waiting = []
    }

    private func attend(_ call: VarlinkCall, watches: Bool) throws {
        let job = try job(of: call)
        if job.job.outcome != nil { return call.reply(Ingest.JobReply(job: job.job)) }
        if watches { call.reply(Ingest.JobReply(job: job.job), continues: true) }
        job.waiting.append(call)
    }

    private func cancel(_ call: VarlinkCall) throws {
        let job = try job(of: call)
        cancelled.withLock { $0.append(job.job.id) }
        if job.job.outcome != nil { return call.reply(Ingest.JobReply(job: job.job)) }
        job.isCancelled = true
        job.waiting.append(call)
        job.wake.signal.raise()
    }

    private func job(of call: VarlinkCall) throws -> FakeJob {
        let id = try call.parameters(as: Ingest.JobParameters.self).id
        guard let job = jobs.all.first(where: { $0.job.id == id }) else {
            throw VarlinkErrorReply(name("NoSuchJob"), parameters: ["id": .string(id)])
        }
        return job
    }
}

/// State that only the loop's thread uses.
private final class LoopConfined: @unchecked Sendable {
    // @unchecked: only the loop's thread uses these variables; the class exists to mark them.
    var service: VarlinkService?
    var all: [FakeJob] = []
    var made = 0
    var ignored: VarlinkCall?
}

private final class FakeJob {
    var job: Job
    var waiting: [VarlinkCall] = []
    var isCancelled = false
    let wake: FakeSignal

    init(id: String, url: String, wake: consuming EventSignal) {
        job = Job(
            id: id, url: url, userID: 0, processID: 0, createdUsec: 0, highWatermark: 2, lowWatermark: 1)
        self.wake = FakeSignal(wake)
    }
}

private final class FakeSignal: Sendable {
    let signal: EventSignal

    init(_ signal: consuming EventSignal) {
        self.signal = signal
    }
}
