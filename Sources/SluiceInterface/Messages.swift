/// The result of a job that has ended.
public struct Outcome: Codable, Sendable, Equatable {
    /// The word for programs.
    public var code: OutcomeCode
    /// What happened, for people; one line.
    public var message: String
    /// What to do about it; one line, or nil.
    public var remedy: String?

    /// An outcome with its code's own remedy.
    public init(_ code: OutcomeCode, _ message: String) {
        self.code = code
        self.message = message
        self.remedy = code.remedy
    }
}

/// A job, as it is at one moment.
public struct Job: Codable, Sendable, Equatable {
    /// Names the job for as long as the service remembers it.
    public var id: String
    /// What is fetched; the values in its query are blanked out.
    public var url: String
    /// The user whose job it is.
    public var userID: Int
    /// The process that asked, at the time.
    public var processID: Int
    /// Where it is in its life.
    public var state: JobState
    /// When it was accepted, in µs since 1970.
    public var createdUsec: Int
    /// When a lane first took it, in µs since 1970.
    public var startedUsec: Int?
    /// When it ended, in µs since 1970.
    public var finishedUsec: Int?
    /// How often the origin was asked.
    public var attempts: Int
    /// The latest attempts, the oldest first: `attempts` counts all of them.
    public var attemptLog: [Attempt]
    /// When the next attempt begins, in µs since 1970, while the job is `waiting`.
    public var retryUsec: Int?
    /// The status of the final response.
    public var httpStatus: Int?
    /// The announced length of the body, in bytes.
    public var contentLength: Int?
    /// The coding of the body (RFC 9110 §8.4), where it has one: it is delivered as the origin sent it.
    public var contentEncoding: String?
    /// Bytes of the body that came from the origin.
    public var bytesReceived: Int
    /// Bytes that are in the consumer's pipe or through it: always the first of the body, without a gap.
    public var bytesDelivered: Int
    /// Bytes that wait in the lane, up to the high watermark and one receive buffer.
    public var bytesBuffered: Int
    /// How often the gate closed because the consumer was slow.
    public var gateClosures: Int
    /// How long the gate was closed, in µs.
    public var stalledUsec: Int
    /// The gate closes at this many waiting bytes.
    public var highWatermark: Int
    /// The gate opens again at this many.
    public var lowWatermark: Int
    /// The entity-tag of the body's version, as the origin sent it (RFC 9110 §8.8.3).
    public var etag: String?
    /// Of a whole body, `sha256:` or `sha512:` and hexadecimal digits, where one was asked for or checked.
    public var digest: String?
    /// The process that fetches.
    public var laneProcessID: Int?
    /// How it ended, once it has.
    public var outcome: Outcome?

    /// A job with every counter at zero.
    public init(
        id: String, url: String, userID: Int, processID: Int, createdUsec: Int, highWatermark: Int,
        lowWatermark: Int
    ) {
        self.id = id
        self.url = url
        self.userID = userID
        self.processID = processID
        self.createdUsec = createdUsec
        self.highWatermark = highWatermark
        self.lowWatermark = lowWatermark
        state = .queued
        attempts = 0
        attemptLog = []
        bytesReceived = 0
        bytesDelivered = 0
        bytesBuffered = 0
        gateClosures = 0
        stalledUsec = 0
    }
}

/// One time that the origin was asked for a body.
public struct Attempt: Codable, Sendable, Equatable {
    /// From 1 on.
    public var number: Int
    /// The body's first byte that this attempt was to deliver.
    public var position: Int
    /// When a lane took it, in µs since 1970.
    public var startedUsec: Int
    /// When it was over, in µs since 1970; nil while it runs.
    public var endedUsec: Int?
    /// The status of the final response.
    public var httpStatus: Int?
    /// Why it was over; nil while it runs, and where the job was parked.
    public var code: OutcomeCode?
    /// The sentence for people.
    public var message: String?

    /// An attempt that has just begun.
    public init(number: Int, position: Int, startedUsec: Int) {
        self.number = number
        self.position = position
        self.startedUsec = startedUsec
    }
}

/// A field of the request, as the caller wants it.
public struct HeaderField: Codable, Sendable, Equatable {
    /// A token (RFC 9110 §5.1).
    public var name: String
    /// Visible ASCII, spaces and tabs.
    public var value: String

    /// A field; nothing is checked here.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// The parameters and replies of the methods of `io.sluice.Ingest`, named as the methods are.
public enum Ingest {
    /// `io.sluice.Ingest`
    public static let interfaceName = "io.sluice.Ingest"

    /// Asks for a body. What is nil comes from the service's settings.
    public struct FetchParameters: Codable, Sendable, Equatable {
        /// An absolute http or https URL, at most 8 KiB, without userinfo.
        public var url: String
        /// Added to the request.
        public var headers: [HeaderField]?
        /// Bytes at which the gate closes.
        public var highWatermark: Int?
        /// Bytes at which it opens again.
        public var lowWatermark: Int?
        /// Time until a connection is ready for the request, TLS included, in seconds.
        public var connectTimeoutSeconds: Double?
        /// Time from then on until the head of the final response must be there, in seconds.
        public var headTimeoutSeconds: Double?
        /// Silence of the origin that is tolerated, in seconds.
        public var stallTimeoutSeconds: Double?
        /// The least speed of the origin while the gate is open, in bytes a second over 30 s: 0 (none) to 1 TiB.
        public var minimumSpeed: Int?
        /// Time for everything, in seconds; time behind a closed gate counts.
        public var deadlineSeconds: Double?
        /// The largest body that is wanted, in bytes.
        public var maximumSize: Int?
        /// How many attempts may fail before the job does, without the first: 0 to 1,000.
        public var retries: Int?
        /// `sha256:` or `sha512:` and the digits that the body must have, or the name alone to be told them.
        public var digest: String?
        /// Entity-tags that the caller has (RFC 9110 §13.1.2): the outcome is `unchanged` where one is current.
        public var ifNoneMatch: String?
        /// Refuses a body with a content coding; without it, such a body is delivered as the origin sent it.
        public var identity: Bool?
        /// Follows redirects from https to http. They are also followed where `digest` says what the body must have.
        public var allowDowngrade: Bool?
        /// Speaks nothing newer than HTTP/1.1, for origins whose HTTP/2 is broken.
        public var http1: Bool?

        /// A request with the service's defaults.
        public init(url: String) {
            self.url = url
        }
    }

    /// The reply to `Fetch`.
    public struct FetchReply: Codable, Sendable, Equatable {
        /// Names the job.
        public var id: String
        /// The index, among the reply's descriptors, of the pipe's read end; nil on an upgraded connection, where the
        /// body follows the reply.
        public var bodyFileDescriptor: Int?
        /// The job that has ended, in the second reply to a call with `more`.
        public var job: Job?

        /// A reply.
        public init(id: String, bodyFileDescriptor: Int? = nil, job: Job? = nil) {
            self.id = id
            self.bodyFileDescriptor = bodyFileDescriptor
            self.job = job
        }
    }

    /// Names one job: the parameters of `Wait`, `Show` and `Cancel`.
    public struct JobParameters: Codable, Sendable, Equatable {
        /// The job.
        public var id: String

        /// Names a job.
        public init(id: String) {
            self.id = id
        }
    }

    /// The parameters of `Watch`.
    public struct WatchParameters: Codable, Sendable, Equatable {
        /// The job; nil for all of the caller's.
        public var id: String?
        /// The least time between two replies about a job that only makes progress, in seconds: 0.1 to 3600, 1 if nil.
        public var intervalSeconds: Double?

        /// Asks for one job, or for all.
        public init(id: String? = nil, intervalSeconds: Double? = nil) {
            self.id = id
            self.intervalSeconds = intervalSeconds
        }
    }

    /// The reply to `Wait`, `Show`, `Cancel`, and each one to `Watch`.
    public struct JobReply: Codable, Sendable, Equatable {
        /// The job, as it is now.
        public var job: Job

        /// A reply.
        public init(job: Job) {
            self.job = job
        }
    }

    /// The parameters of `List`.
    public struct ListParameters: Codable, Sendable, Equatable {
        /// Only jobs that have not ended.
        public var active: Bool?
        /// Only jobs of this user.
        public var userID: Int?
        /// Only jobs in one of these states.
        public var states: [JobState]?
        /// At most so many in one reply.
        public var limit: Int?
        /// Go on behind a page: its `next`.
        public var after: Int?

        /// Asks for all jobs, or for those that have not ended.
        public init(
            active: Bool? = nil, userID: Int? = nil, states: [JobState]? = nil, limit: Int? = nil,
            after: Int? = nil
        ) {
            self.active = active
            self.userID = userID
            self.states = states
            self.limit = limit
            self.after = after
        }
    }

    /// The reply to `List`.
    public struct ListReply: Codable, Sendable, Equatable {
        /// The oldest first.
        public var jobs: [Job]
        /// Where the next page begins; nil for the last one.
        public var next: Int?

        /// A reply.
        public init(jobs: [Job], next: Int? = nil) {
            self.jobs = jobs
            self.next = next
        }
    }

    /// How many jobs are in which state.
    public struct JobCounts: Codable, Sendable, Equatable {
        /// Waiting for a lane.
        public var queued = 0
        /// Waiting for the head of a response.
        public var connecting = 0
        /// Flowing.
        public var streaming = 0
        /// Waiting for their consumers, with a lane.
        public var stalled = 0
        /// Waiting for their consumers, without one.
        public var parked = 0
        /// Waiting for their next attempt.
        public var waiting = 0
        /// Ended with the whole body, since the service started.
        public var complete = 0
        /// Ended early, since the service started.
        public var failed = 0
        /// Ended by their owners, since the service started.
        public var cancelled = 0
        /// Attempts beyond a job's first, since the service started.
        public var retried = 0

        /// All zero.
        public init() {}
    }

    /// How many lanes are in which state.
    public struct LaneCounts: Codable, Sendable, Equatable {
        /// Running a job, or ending one.
        public var busy = 0
        /// Waiting for one.
        public var idle = 0
        /// Started, not yet ready.
        public var starting = 0
        /// Died without being asked to, since the service started.
        public var died = 0
        /// As many as there may be.
        public var limit = 0

        /// All zero.
        public init() {}
    }

    /// The reply to `Drain`.
    public struct DrainReply: Codable, Sendable, Equatable {
        /// Everybody's jobs that have not ended.
        public var jobs: Int

        /// A reply.
        public init(jobs: Int) {
            self.jobs = jobs
        }
    }

    /// The parameters of `Metrics`.
    public struct MetricsParameters: Codable, Sendable, Equatable {
        /// Numbers of users and hosts as well.
        public var byName: Bool?

        /// A request.
        public init(byName: Bool? = nil) {
            self.byName = byName
        }
    }

    /// The reply to `Status`.
    public struct StatusReply: Codable, Sendable, Equatable {
        /// The service's version.
        public var version: String
        /// Its process.
        public var processID: Int
        /// When it started, in µs since 1970.
        public var startedUsec: Int
        /// The line that the service manager shows.
        public var status: String
        /// Everybody's jobs.
        public var jobs: JobCounts
        /// The pool.
        public var lanes: LaneCounts
        /// Bytes that reached consumers since the service started, of running jobs too.
        public var bytesDelivered: Int
        /// Pipe buffers of running jobs, in bytes.
        public var pipeBytes: Int
        /// What they may be altogether, in bytes.
        public var pipeBudget: Int
        /// Open connections to the service.
        public var connections: Int

        /// A reply.
        public init(
            version: String, processID: Int, startedUsec: Int, status: String, jobs: JobCounts,
            lanes: LaneCounts, bytesDelivered: Int, pipeBytes: Int, pipeBudget: Int, connections: Int
        ) {
            self.version = version
            self.processID = processID
            self.startedUsec = startedUsec
            self.status = status
            self.jobs = jobs
            self.lanes = lanes
            self.bytesDelivered = bytesDelivered
            self.pipeBytes = pipeBytes
            self.pipeBudget = pipeBudget
            self.connections = connections
        }
    }
}
