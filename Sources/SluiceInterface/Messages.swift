/// The result of a job that has ended.
public struct Outcome: Codable, Sendable, Equatable {
    /// The outcome as a word for programs.
    public var code: OutcomeCode
    /// What happened, for users; one line.
    public var message: String
    /// What to do about it; one line, or nil.
    public var remedy: String?

    /// An outcome with the remedy of its code.
    public init(_ code: OutcomeCode, _ message: String) {
        self.code = code
        self.message = message
        self.remedy = code.remedy
    }
}

/// The description of a job at one moment.
public struct Job: Codable, Sendable, Equatable {
    /// Identifies the job as long as the service remembers it.
    public var id: String
    /// The URL of the job, without the values in its query.
    public var url: String
    /// The user who owns the job.
    public var userID: Int
    /// The process that asked for the body.
    public var processID: Int
    /// The state of the job.
    public var state: JobState
    /// When it was accepted, in µs since 1970.
    public var createdUsec: Int
    /// When a lane first took it, in µs since 1970.
    public var startedUsec: Int?
    /// When it ended, in µs since 1970.
    public var finishedUsec: Int?
    /// Number of times that the origin was asked.
    public var attempts: Int
    /// The latest attempts, the oldest first: `attempts` counts all of them.
    public var attemptLog: [Attempt]
    /// When the next attempt begins, in µs since 1970, while the job is `waiting`.
    public var retryUsec: Int?
    /// The status of the final response.
    public var httpStatus: Int?
    /// The announced length of the body, in bytes.
    public var contentLength: Int?
    /// The coding of the body (RFC 9110 §8.4), where it has one. The body is delivered as the origin sent it.
    public var contentEncoding: String?
    /// Bytes of the body that came from the origin.
    public var bytesReceived: Int
    /// Bytes that the consumer's pipe has taken: always the first ones of the body, without a gap.
    public var bytesDelivered: Int
    /// Bytes that wait in the lane, up to the high watermark and one receive buffer.
    public var bytesBuffered: Int
    /// Number of times that the gate closed because the consumer was slow.
    public var gateClosures: Int
    /// How long the gate was closed, in µs.
    public var stalledUsec: Int
    /// The gate closes when this number of bytes wait.
    public var highWatermark: Int
    /// The gate opens again when this number of bytes wait.
    public var lowWatermark: Int
    /// The entity-tag of the body's version, as the origin sent it (RFC 9110 §8.8.3).
    public var etag: String?
    /// The digest of a whole body, as `sha256:` or `sha512:` and hexadecimal digits, where the job asked for it or
    /// checked it.
    public var digest: String?
    /// The process that fetches.
    public var laneProcessID: Int?
    /// How the job ended; nil as long as it runs.
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

/// One attempt to get the body from the origin.
public struct Attempt: Codable, Sendable, Equatable {
    /// Counted from 1.
    public var number: Int
    /// The index of the body's first byte that this attempt had to deliver.
    public var position: Int
    /// When a lane began it, in µs since 1970.
    public var startedUsec: Int
    /// When it ended, in µs since 1970; nil while it runs.
    public var endedUsec: Int?
    /// The status of the final response.
    public var httpStatus: Int?
    /// Why it ended; nil while it runs, and where the job was parked.
    public var code: OutcomeCode?
    /// The sentence for users.
    public var message: String?

    /// An attempt that has just begun.
    public init(number: Int, position: Int, startedUsec: Int) {
        self.number = number
        self.position = position
        self.startedUsec = startedUsec
    }
}

/// A field of the request that the caller asks for.
public struct HeaderField: Codable, Sendable, Equatable {
    /// A token (RFC 9110 §5.1).
    public var name: String
    /// Visible ASCII, spaces and tabs.
    public var value: String

    /// A field. This initializer checks nothing.
    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// The parameters and replies of the methods of `io.sluice.Ingest`, named as the methods are.
public enum Ingest {
    /// `io.sluice.Ingest`
    public static let interfaceName = "io.sluice.Ingest"

    /// The parameters of `Fetch`. The service takes the values of fields that are nil from its settings.
    public struct FetchParameters: Codable, Sendable, Equatable {
        /// An absolute http or https URL, at most 8 KiB, without userinfo.
        public var url: String
        /// Header fields that are added to the request.
        public var headers: [HeaderField]?
        /// The gate closes when this number of bytes wait.
        public var highWatermark: Int?
        /// The gate opens again when this number of bytes wait.
        public var lowWatermark: Int?
        /// Maximum time until a connection is ready for the request, TLS included, in seconds.
        public var connectTimeoutSeconds: Double?
        /// Maximum time from then on until the head of the final response has arrived, in seconds.
        public var headTimeoutSeconds: Double?
        /// Maximum silence of the origin, in seconds.
        public var silenceTimeoutSeconds: Double?
        /// The former name of `silenceTimeoutSeconds`, until 0.5.0. Only one of the two may be given.
        public var stallTimeoutSeconds: Double?
        /// The minimum speed of the origin while the gate is open, in bytes per second over 30 s: 0 (none) to 1 TiB.
        public var minimumSpeed: Int?
        /// Maximum time of the whole job, in seconds. It includes the time in which the gate is closed.
        public var deadlineSeconds: Double?
        /// Maximum size of the body, in bytes.
        public var maximumSize: Int?
        /// Maximum number of attempts that fail in a row, without the first: 0 to 1,000. One more fails the job.
        public var retries: Int?
        /// `sha256:` or `sha512:` and the digits that the body must have, or only the name of the algorithm to get
        /// the digest.
        public var digest: String?
        /// Entity-tags of versions that the caller has (RFC 9110 §13.1.2). The outcome is `unchanged` where one of
        /// them is current.
        public var ifNoneMatch: String?
        /// Refuses a body with a content coding; without it, such a body is delivered as the origin sent it.
        public var identity: Bool?
        /// Follows redirects from https to http. The service follows them without this, too, where `digest` has
        /// digits.
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
        /// The id of the job.
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
        /// The job; nil for all jobs of the caller.
        public var id: String?
        /// The minimum time between two replies about a job that only makes progress, in seconds: 0.1 to 3600, 1 if
        /// nil.
        public var intervalSeconds: Double?

        /// Asks for one job, or for all jobs of the caller.
        public init(id: String? = nil, intervalSeconds: Double? = nil) {
            self.id = id
            self.intervalSeconds = intervalSeconds
        }
    }

    /// The reply to `Wait`, `Show` and `Cancel`, and each reply to `Watch`.
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
        /// Maximum number of jobs in one reply.
        public var limit: Int?
        /// Continues after an earlier page: the `next` of that page.
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
        /// The `after` of the next page; nil on the last page.
        public var next: Int?

        /// A reply.
        public init(jobs: [Job], next: Int? = nil) {
            self.jobs = jobs
            self.next = next
        }
    }

    /// The number of jobs in each state.
    public struct JobCounts: Codable, Sendable, Equatable {
        /// Waiting for a lane.
        public var queued = 0
        /// Waiting for the head of a response.
        public var connecting = 0
        /// Flowing.
        public var streaming = 0
        /// Waiting for their consumers, with a lane.
        public var stalled = 0
        /// Waiting for their consumers, without a lane.
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

    /// The number of lanes in each state.
    public struct LaneCounts: Codable, Sendable, Equatable {
        /// Running a job, or ending one.
        public var busy = 0
        /// Waiting for a job.
        public var idle = 0
        /// Started, but not ready yet.
        public var starting = 0
        /// Lanes that have died unexpectedly since the service started.
        public var died = 0
        /// Maximum number of lanes.
        public var limit = 0

        /// All zero.
        public init() {}
    }

    /// The reply to `Drain`.
    public struct DrainReply: Codable, Sendable, Equatable {
        /// The number of jobs of all users that have not ended.
        public var jobs: Int

        /// A reply.
        public init(jobs: Int) {
            self.jobs = jobs
        }
    }

    /// The parameters of `Metrics`.
    public struct MetricsParameters: Codable, Sendable, Equatable {
        /// Whether to include numbers of users and hosts.
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
        /// The number of its process.
        public var processID: Int
        /// When it started, in µs since 1970.
        public var startedUsec: Int
        /// The status line that the service manager shows.
        public var status: String
        /// The jobs of all users.
        public var jobs: JobCounts
        /// The lanes.
        public var lanes: LaneCounts
        /// Bytes that reached consumers since the service started, including those of running jobs.
        public var bytesDelivered: Int
        /// Size of the pipe buffers of running jobs, in bytes.
        public var pipeBytes: Int
        /// Maximum size of all pipe buffers together, in bytes.
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
