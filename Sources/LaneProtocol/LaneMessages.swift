public import SluiceCore
public import SluiceInterface

/// One packet from the daemon to a lane, on a seqpacket socket; `order` carries descriptors.
public enum LaneCommand: Sendable, Equatable {
    /// Fetch this. The packet carries three descriptors: the consumer's end, the ledger and the staging pipe, in this
    /// order. A lane that has kept the account of its previous job gets the first one only.
    case order(LaneOrder)
    /// End the transfer of the job with this number, and report when its account is closed.
    case end(serial: Int)
    /// The pipes of the job with this number have been grown.
    case pipesGrown(serial: Int)
    /// Asks whether the lane that has the job with this serial is alive. The lane answers by writing the question's
    /// number, which grows, into the job's ledger. It sends no report.
    case probe(serial: Int, number: Int)
    /// The job with this serial may receive at this rate from now on; nil means any rate.
    case rate(serial: Int, bytesPerSecond: Int?)
}

/// What a lane must fetch, and how.
public struct LaneOrder: Sendable, Equatable {
    /// The largest packet, in bytes. The limits on URL and headers keep every order below it.
    public static let maximumBytes = 160 << 10

    /// The number of the order. It distinguishes reports about this job from reports about another.
    public var serial: Int
    /// The URL, as `RequestURL` normalised it.
    public var url: String
    /// The caller's fields.
    public var headers: [HeaderField]
    /// The gate closes when this many bytes are buffered.
    public var highWatermark: Int
    /// The gate opens again when this many bytes are left.
    public var lowWatermark: Int
    /// Limits on time and speed, which the lane enforces; the daemon enforces the deadline.
    public var timeouts: Timeouts
    /// The largest body, in bytes.
    public var maximumSize: Int?
    /// How long the gate must be closed before the lane reports a stall, in seconds.
    public var stalledAfterSeconds: Double
    /// How long it must be closed before the lane reports the job as held, in seconds.
    public var parkAfterSeconds: Double
    /// The offset at which to begin. The bytes of the body before it are in the consumer's pipe.
    public var position: Int
    /// The representation that those bytes belong to; nil if there are none.
    public var known: Representation?
    /// The digest to compute and compare.
    public var digest: DigestRequest?
    /// Entity-tags of the versions that the caller has.
    public var ifNoneMatch: String?
    /// Which redirects are followed, and which fields are sent to their targets.
    public var redirects: RedirectPolicy
    /// True if a body with a content coding is refused as `contentEncoded`.
    public var requiresIdentity: Bool
    /// True if the lane must offer the origin nothing newer than HTTP/1.1.
    public var http1Only: Bool
    /// Where the job may connect to (`EgressRules.compact`).
    public var egress: String
    /// The rate at which the job may receive, in bytes a second; nil for any.
    public var rate: Int?
    /// The lane first drops the connections that it kept: they lead to another host, and that host's number of
    /// connections is limited.
    public var dropsConnections = false
    /// A certificate with its key, in PEM, for servers of the first URL's host, over TLS, that ask for one.
    public var clientCertificate: String?

    /// An order for a job.
    ///
    /// - Parameters:
    ///   - serial: the lane's number for the job, in all that both say about it.
    ///   - request: what the client has asked for.
    ///   - gate: the settings of the consumer's gate.
    ///   - parking: when a consumer that does not read is reported.
    ///   - redirects: which redirects are followed.
    ///   - egress: rules in their compact form.
    ///   - position: the offset at which to begin.
    ///   - known: the representation that the bytes before it belong to; required if there are any.
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

    /// Lowers the watermarks of a job that was parked after its last attempt had delivered this many bytes. When the
    /// job is parked again, the buffered bytes are dropped and must be fetched once more. That should not be more than
    /// an attempt delivers.
    public mutating func narrow(to delivered: Int) {
        let high = max(Self.narrowest, delivered)
        guard high < highWatermark else { return }
        highWatermark = high
        lowWatermark = min(lowWatermark, high / 4)
    }

    /// Whether every byte must be received again for a digest.
    public var asksForAll: Bool {
        digest != nil || known?.digests.isEmpty == false
    }
}

/// One packet from a lane to the daemon. The lane bounds and checks whatever an origin chose in it, and the daemon
/// treats it as a claim.
public enum LaneReport: Sendable, Equatable {
    /// The version of the packets. Raise it with every change of them: during an upgrade of the service a daemon may
    /// start the lane of another build.
    public static let wire = 6

    /// The lane is warm: it can take its first order. It speaks this version of the packets, and has confined itself to
    /// this extent.
    case ready(wire: Int, confinement: LaneConfinement)
    /// The head of an acceptable response has arrived.
    case responded(serial: Int, ResponseFacts)
    /// The gate has been closed for `stalledAfterSeconds`.
    case stalled(serial: Int)
    /// The gate is open again.
    case flowing(serial: Int)
    /// The gate has been closed, or the consumer has taken nothing, for as long as the order said: a reason to park.
    case held(serial: Int)
    /// The gate has opened again after `held`.
    case released(serial: Int)
    /// The consumer takes bytes so fast that larger pipes would serve it.
    case keepsUp(serial: Int)
    /// The transfer has ended; the lane will not touch the job's descriptors again. If the session is idle, too, the
    /// lane can take its next order, and no `idle` follows. A lane that keeps the account, which it may do after it has
    /// delivered a whole body, needs no other account with its next order.
    case ended(serial: Int, EndFacts, isIdle: Bool, keepsAccount: Bool)
    /// The session has released a transfer that had ended: the lane can take its next order.
    case idle
}

/// What the head of an acceptable response says.
public struct ResponseFacts: Sendable, Equatable {
    /// The status of the final response.
    public var status: Int
    /// The representation that the body belongs to. Its `length` is that of the whole body, even if only a part is
    /// sent.
    public var representation: Representation
    /// The entity-tag, strong or weak, as it came; at most `Validator.maximumLength` bytes.
    public var etag: String?

    /// Creates the facts about a head.
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
    /// The status of the last response, even if that response was not accepted.
    public var status: Int?
    /// The pause that the server asked for, in seconds.
    public var retryAfterSeconds: Double?
    /// The digest of the whole body, if one was computed.
    public var digest: BodyDigest?
    /// The entity-tag of an unchanged body.
    public var etag: String?
    /// The address that was denied, if that is the outcome and the address is known.
    public var deniedAddress: String?

    /// Creates the facts about an end.
    public init(_ outcome: Outcome, status: Int? = nil) {
        self.outcome = outcome
        self.status = status
    }
}
