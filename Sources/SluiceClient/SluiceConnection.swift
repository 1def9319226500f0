public import SluiceInterface
public import Unix
internal import Varlink

/// A body that is being delivered.
@frozen
public struct FetchedBody: ~Copyable, Sendable {
    /// The id of the job.
    public let id: String
    /// The read end of the pipe: blocking, close-on-exec. Its end of file does not say that the body is complete.
    /// Closing it early ends the job.
    public var pipe: OwnedDescriptor
}

/// A connection to the service for programs that may block: every function blocks until it is answered.
///
/// It carries one call at a time. Not thread-safe: a thread that calls the service while another thread waits must
/// make its own connection, which is cheap. The connection cannot be used after an error with `isConnectionLost`, or
/// after a deadline has passed. A job does not depend on the connection that asked for it.
public final class SluiceConnection {
    /// Where the service listens, for further connections.
    public let path: String
    private let client: VarlinkClient

    /// Connects to a socket. `ServiceFinder` knows where to look for one.
    ///
    /// - Throws: `.noService`, `.permissionDenied`.
    public convenience init(connectedTo path: String) throws(SluiceError) {
        do {
            self.init(try VarlinkClient(connectedTo: path), path: path)
        } catch .cannotConnect(_, let errno) {
            throw SluiceError(cannotConnectTo: path, errno)
        } catch {
            throw SluiceError(error)
        }
    }

    init(_ client: VarlinkClient, path: String) {
        self.client = client
        self.path = path
    }

    /// Asks for a body.
    ///
    /// The service answers before it asks the origin, so a slow origin causes no wait here.
    ///
    /// - Throws: `.refused` with the parameter and the reason, `.busy`, `.serviceTrouble`.
    public func fetch(_ request: Ingest.FetchParameters) throws(SluiceError) -> FetchedBody {
        do {
            let reply = try client.callWithDescriptors(method("Fetch"), request)
            let fields = try reply.decode(as: Ingest.FetchReply.self)
            guard let index = fields.bodyFileDescriptor, let pipe = reply.takeDescriptor(index) else {
                throw VarlinkClientError.protocolViolation("the reply to Fetch brought no descriptor")
            }
            return FetchedBody(id: fields.id, pipe: pipe)
        } catch let error as VarlinkClientError {
            throw SluiceError(error)
        } catch {
            throw SluiceError(.serviceTrouble, "the reply to Fetch cannot be taken: \(error)")
        }
    }

    /// Waits until a job has ended.
    ///
    /// - Returns: the job, with its outcome.
    /// - Throws: `.noSuchJob`, `.serviceTrouble`.
    public func wait(for id: String) throws(SluiceError) -> Job {
        try job("Wait", id)
    }

    /// Asks for the outcome and does not wait for it. The next call must be `waitedJob`.
    func sendWait(for id: String) throws(SluiceError) {
        do {
            try client.send(method("Wait"), Ingest.JobParameters(id: id), mode: .single)
        } catch {
            throw SluiceError(error)
        }
    }

    /// Waits for the answer to `sendWait`.
    func waitedJob() throws(SluiceError) -> Job {
        do {
            return try client.next().decode(as: Ingest.JobReply.self).job
        } catch {
            throw SluiceError(error)
        }
    }

    /// The job as it is now.
    ///
    /// - Throws: `.noSuchJob`, `.serviceTrouble`.
    public func show(_ id: String) throws(SluiceError) -> Job {
        try job("Show", id)
    }

    /// Ends a job and waits until it has ended. A job that had already ended is unchanged.
    ///
    /// - Parameter milliseconds: maximum time to wait for the answer; nil for no limit.
    /// - Throws: `.noSuchJob`, `.serviceTrouble`.
    @discardableResult
    public func cancel(_ id: String, deadline milliseconds: Int? = nil) throws(SluiceError) -> Job {
        try job("Cancel", id, deadline: milliseconds)
    }

    /// The caller's jobs (for root: the jobs of all users), the oldest first. Asks page by page, so the list is not a
    /// view of one moment.
    ///
    /// - Parameters:
    ///   - active: only jobs that have not ended.
    ///   - userID: only jobs of this user.
    ///   - states: only jobs in one of these states; nil for all states.
    ///   - limit: maximum number of jobs; nil for all.
    /// - Throws: `.serviceTrouble`.
    public func list(
        active: Bool = false, userID: Int? = nil, states: [JobState]? = nil, limit: Int? = nil
    ) throws(SluiceError) -> [Job] {
        var jobs: [Job] = []
        try eachPage(active: active, userID: userID, states: states, limit: limit) { page in
            jobs += page
            return true
        }
        return jobs
    }

    /// The same, page by page as the pages arrive.
    ///
    /// - Parameter body: called with each page; returns whether to continue.
    /// - Throws: `.serviceTrouble`.
    public func eachPage(
        active: Bool = false, userID: Int? = nil, states: [JobState]? = nil, limit: Int? = nil,
        _ body: ([Job]) -> Bool
    ) throws(SluiceError) {
        var parameters = Ingest.ListParameters(active: active ? true : nil, userID: userID, states: states)
        var left = limit ?? .max
        while left > 0 {
            // A page has 100 jobs by default, so a larger limit is not sent. A service of version 0.4, which knows no
            // pages, then accepts the request and answers with all jobs.
            if left < 100 { parameters.limit = left }
            let reply = try call("List", parameters, as: Ingest.ListReply.self)
            let jobs = reply.jobs.prefix(left)
            left -= jobs.count
            guard body(Array(jobs)), let next = reply.next else { return }
            parameters.after = next
        }
    }

    /// What the service says about itself.
    ///
    /// - Throws: `.serviceTrouble`.
    public func status() throws(SluiceError) -> Ingest.StatusReply {
        try call("Status", NoParameters(), as: Ingest.StatusReply.self)
    }

    /// The metrics of the service.
    ///
    /// - Parameter byName: whether to include numbers of users and hosts; only an operator may ask for them.
    /// - Throws: `.permissionDenied`, `.serviceTrouble`.
    public func metrics(byName: Bool = false) throws(SluiceError) -> [Ingest.Metric] {
        try call(
            "Metrics", Ingest.MetricsParameters(byName: byName ? true : nil), as: Ingest.MetricsReply.self
        ).metrics
    }

    /// Makes the service refuse new jobs and finish those that it has.
    ///
    /// - Parameter body: called with the number of jobs left, at first and whenever it changes until it is 0; returns
    ///   whether to continue. The connection cannot be used after that.
    /// - Throws: `.permissionDenied`, `.serviceTrouble`.
    public func drain(_ body: (Int) -> Bool) throws(SluiceError) {
        do {
            try client.send(method("Drain"), NoParameters(), mode: .more)
            while true {
                let reply = try client.next()
                let jobs = try reply.decode(as: Ingest.DrainReply.self).jobs
                guard body(jobs), reply.continues else { return }
            }
        } catch {
            throw SluiceError(error)
        }
    }

    /// Makes the service accept new jobs again.
    ///
    /// - Throws: `.permissionDenied`, `.serviceTrouble`.
    public func undrain() throws(SluiceError) {
        _ = try call("Undrain", NoParameters(), as: NoParameters.self)
    }

    /// Watches one job, or all jobs of the caller. The connection belongs to the watch from now on.
    ///
    /// - Parameters:
    ///   - id: the job; the watch ends with it. Nil for all jobs; that watch does not end by itself.
    ///   - interval: the minimum time between two reports of mere progress, in seconds: 0.1 to 3600.
    /// - Throws: `.serviceTrouble`. Where there is no such job, the first call of `next` reports it.
    public consuming func watch(_ id: String? = nil, interval: Double? = nil) throws(SluiceError) -> JobWatch
    {
        do {
            try client.send(
                method("Watch"), Ingest.WatchParameters(id: id, intervalSeconds: interval), mode: .more)
        } catch {
            throw SluiceError(error)
        }
        return JobWatch(client)
    }

    private func method(_ name: String) -> String { "\(Ingest.interfaceName).\(name)" }

    private func job(_ name: String, _ id: String, deadline: Int? = nil) throws(SluiceError) -> Job {
        try call(name, Ingest.JobParameters(id: id), as: Ingest.JobReply.self, deadline: deadline).job
    }

    private func call<Reply: Decodable>(
        _ name: String, _ parameters: some Encodable, as type: Reply.Type, deadline: Int? = nil
    ) throws(SluiceError) -> Reply {
        do {
            return try client.call(method(name), parameters, as: type, deadline: deadline)
        } catch {
            throw SluiceError(error)
        }
    }
}

/// Reports about jobs, as they arrive. Not thread-safe.
public final class JobWatch {
    private let client: VarlinkClient
    private var isOver = false

    init(_ client: VarlinkClient) {
        self.client = client
    }

    /// Waits for the next report.
    ///
    /// - Returns: nil after the last.
    /// - Throws: `.noSuchJob`, `.serviceTrouble`.
    public func next() throws(SluiceError) -> Job? {
        guard !isOver else { return nil }
        do {
            return try take(try client.next())
        } catch {
            isOver = true
            throw SluiceError(error)
        }
    }

    /// Returns a report that has already arrived.
    ///
    /// - Returns: nil where none has arrived yet, or no more will arrive.
    /// - Throws: as `next`.
    public func nextIfAvailable() throws(SluiceError) -> Job? {
        guard !isOver else { return nil }
        do {
            guard let reply = try client.receiveIfAvailable() else { return nil }
            return try take(reply)
        } catch {
            isOver = true
            throw SluiceError(error)
        }
    }

    /// Whether no more reports will arrive.
    public var hasEnded: Bool { isOver }

    /// For `poll(2)`: readable means that there may be a report. Poll only after `nextIfAvailable` has returned nil.
    public var rawDescriptor: CInt { client.rawDescriptor }

    private func take(_ reply: borrowing VarlinkReply) throws(VarlinkClientError) -> Job {
        if !reply.continues { isOver = true }
        return try reply.decode(as: Ingest.JobReply.self).job
    }
}
