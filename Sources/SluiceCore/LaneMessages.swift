public import SluiceInterface

/// One packet from the daemon to a lane. JSON on a seqpacket socket; descriptors go along with `order`.
public enum LaneCommand: Codable, Sendable, Equatable {
    /// Fetch this. The packet carries the consumer's end, the ledger and the staging pipe, in this order.
    case order(LaneOrder)
    /// End the transfer of the job with this number, and say when its account is closed.
    case end(serial: Int)
    /// The pipes of the job with this number have been grown.
    case pipesGrown(serial: Int)
}

/// What a lane is to fetch, and how.
public struct LaneOrder: Codable, Sendable, Equatable {
    /// The largest packet, in bytes: the limits on URL and headers leave it far behind, JSON's escapes included.
    public static let maximumBytes = 160 << 10

    /// The lane's number for the job: an answer to a question about another job can be told from one about this.
    public var serial: Int
    /// As `RequestURL` left it.
    public var url: String
    /// The caller's fields.
    public var headers: [HeaderField]
    /// The gate closes here, in bytes.
    public var highWatermark: Int
    /// It opens here, in bytes.
    public var lowWatermark: Int
    /// Time limits for the lane to keep; the deadline is the daemon's.
    public var timeouts: Timeouts
    /// The largest body, in bytes.
    public var maximumSize: Int?
    /// How long the gate must be closed to be reported, in seconds.
    public var stalledAfterSeconds: Double

    /// An order for a job.
    public init(serial: Int, request: JobRequest, stalledAfterSeconds: Double) {
        self.serial = serial
        url = request.url.text
        headers = request.headers.fields
        highWatermark = request.marks.high
        lowWatermark = request.marks.low
        timeouts = request.timeouts
        maximumSize = request.maximumSize
        self.stalledAfterSeconds = stalledAfterSeconds
    }
}

/// One packet from a lane to the daemon. Whatever an origin chose in it is bounded and checked by the lane first, and
/// treated as a claim by the daemon.
public enum LaneReport: Codable, Sendable, Equatable {
    /// The lane is warm: it can take its first order.
    case ready
    /// The head of an acceptable response is there.
    case responded(serial: Int, status: Int, contentLength: Int?)
    /// The gate has been closed for a while.
    case stalled(serial: Int)
    /// It is open again.
    case flowing(serial: Int)
    /// The consumer has kept up with a good deal: larger pipes would serve it.
    case keepsUp(serial: Int)
    /// The transfer has ended; the lane will not touch the job's descriptors again.
    case ended(serial: Int, outcome: Outcome, status: Int?)
    /// The session is idle: the lane can take its next order.
    case idle
}
