public import SluiceInterface

/// One packet from the daemon to a lane, on a seqpacket socket; descriptors go along with `order`.
public enum LaneCommand: Sendable, Equatable {
    /// Fetch this. The packet carries the consumer's end, the ledger and the staging pipe, in this order; the first
    /// alone for a lane that has kept the account of the job before.
    case order(LaneOrder)
    /// End the transfer of the job with this number, and say when its account is closed.
    case end(serial: Int)
    /// The pipes of the job with this number have been grown.
    case pipesGrown(serial: Int)
    /// Is the lane that has the job with this serial alive? It answers with the question's number, which grows, in the job's
    /// ledger. There is no report.
    case probe(serial: Int, number: Int)
    /// The job with this number may receive so many bytes a second from now on; nil for any.
    case rate(serial: Int, bytesPerSecond: Int?)
}

/// What a lane is to fetch, and how.
public struct LaneOrder: Sendable, Equatable {
    /// The largest packet, in bytes: the limits on URL and headers leave it behind.
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
    /// Limits on time and speed for the lane to keep; the deadline is the daemon's.
    public var timeouts: Timeouts
    /// The largest body, in bytes.
    public var maximumSize: Int?
    /// How long the gate must be closed to be reported, in seconds.
    public var stalledAfterSeconds: Double
    /// How long it must be closed to be reported as held, in seconds.
    public var parkAfterSeconds: Double
    /// The first byte that is wanted: so many of the body are in the consumer's pipe.
    public var position: Int
    /// What they are of; nil where there are none.
    public var known: Representation?
    /// What to compute and compare.
    public var digest: DigestRequest?
    /// Entity-tags that the caller has.
    public var ifNoneMatch: String?
    /// Which redirects are followed, and what goes along.
    public var redirects: RedirectPolicy
    /// A body with a content coding is refused as `contentEncoded`.
    public var requiresIdentity: Bool
    /// Nothing newer than HTTP/1.1 is offered to the origin.
    public var http1Only: Bool
    /// Where the job may connect to (`EgressRules.compact`).
    public var egress: String
    /// What it may receive, in bytes a second; nil for any.
    public var rate: Int?
    /// The connections that were kept are dropped first: they are to another host, which may have only so many.
    public var dropsConnections = false
    /// A certificate with its key, in PEM, for servers of the first URL's host, over TLS, that ask for one.
    public var clientCertificate: String?

    /// An order for a job.
    ///
    /// - Parameters:
    ///   - egress: rules in their compact form.
    ///   - position: the first byte that is wanted.
    ///   - known: what the bytes before it are of; there must be one if there are any.
    public init(
        serial: Int, request: JobRequest, gate: Settings.Gate = Settings.Gate(),
        parking: Settings.Parking = Settings.Parking(), redirects: Settings.Redirects = Settings.Redirects(),
        egress: String = "", position: Int = 0, known: Representation? = nil
    ) {
        self.serial = serial
        url = request.url.text
        headers = request.headers.fields
        highWatermark = request.marks.high
        lowWatermark = request.marks.low
        timeouts = request.timeouts
        maximumSize = request.maximumSize
        stalledAfterSeconds = gate.stalledAfterSeconds
        parkAfterSeconds = parking.afterSeconds
        self.position = position
        self.known = known
        digest = request.digest
        ifNoneMatch = request.ifNoneMatch
        self.redirects = RedirectPolicy(
            limit: redirects.limit, credentialFields: redirects.credentialFields,
            allowsDowngrade: request.allowsDowngrade)
        requiresIdentity = request.requiresIdentity
        http1Only = request.http1Only
        self.egress = egress
    }

    /// The lowest high watermark for a job that has been parked, in bytes.
    public static let narrowest = 256 << 10

    /// Lowers the watermarks of a job that was parked when its last attempt had delivered so many bytes: what waits when
    /// it is parked again is dropped and has to come once more, and that should not be more than what it got.
    public mutating func narrow(to delivered: Int) {
        let high = max(Self.narrowest, delivered)
        guard high < highWatermark else { return }
        highWatermark = high
        lowWatermark = min(lowWatermark, high / 4)
    }

    /// Whether every byte has to be seen again for a digest.
    public var asksForAll: Bool {
        digest != nil || known?.digests.isEmpty == false
    }
}

/// One packet from a lane to the daemon. Whatever an origin chose in it is bounded and checked by the lane first, and
/// treated as a claim by the daemon.
public enum LaneReport: Sendable, Equatable {
    /// The version of the packets. To be raised with every change of them: while the service is upgraded a daemon may
    /// start the lane of another build.
    public static let wire = 5

    /// The lane is warm: it can take its first order. It speaks this version of the wire, and has locked itself in so far.
    case ready(wire: Int, confinement: LaneConfinement)
    /// The head of an acceptable response is there.
    case responded(serial: Int, ResponseFacts)
    /// The gate has been closed for a while.
    case stalled(serial: Int)
    /// It is open again.
    case flowing(serial: Int)
    /// The gate has been closed, or the consumer has taken nothing, for as long as the order said: a reason to park.
    case held(serial: Int)
    /// After that, the gate has opened again.
    case released(serial: Int)
    /// The consumer takes bytes so fast that larger pipes would serve it.
    case keepsUp(serial: Int)
    /// The transfer has ended; the lane will not touch the job's descriptors again. Where the session is idle, too, the
    /// lane can take its next order, and no `idle` follows. One that keeps the account, which it may after a body that was
    /// delivered whole, need not be given one with that order.
    case ended(serial: Int, EndFacts, isIdle: Bool, keepsAccount: Bool)
    /// The session has let go of a transfer that had ended: the lane can take its next order.
    case idle
}

/// What the head of an acceptable response says.
public struct ResponseFacts: Sendable, Equatable {
    /// Of the final response.
    public var status: Int
    /// What the body is of; `length` is that of the whole body, also where only a part of it is coming.
    public var representation: Representation
    /// The entity-tag, strong or weak, as it came; at most `Validator.maximumLength` bytes.
    public var etag: String?

    /// A head.
    public init(status: Int, representation: Representation, etag: String?) {
        self.status = status
        self.representation = representation
        self.etag = etag
    }
}

/// How a transfer ended.
public struct EndFacts: Sendable, Equatable {
    /// The result.
    public var outcome: Outcome
    /// Of the last response, also where it was not taken.
    public var status: Int?
    /// The pause that the server asked for, in seconds.
    public var retryAfterSeconds: Double?
    /// Of the whole body, where one was computed.
    public var digest: BodyDigest?
    /// The entity-tag of an unchanged body.
    public var etag: String?
    /// The address that was denied, where that is the outcome and one was known.
    public var deniedAddress: String?

    /// An end.
    public init(_ outcome: Outcome, status: Int? = nil) {
        self.outcome = outcome
        self.status = status
    }
}
