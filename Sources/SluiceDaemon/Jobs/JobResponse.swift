internal import LaneProtocol
internal import SluiceCore

/// What responses have said of a job's body, for users to see. What decides anything is in `JobProgress`.
struct JobResponse {
    /// The status of the latest response.
    private(set) var status: Int?
    /// In bytes.
    private(set) var contentLength: Int?
    private(set) var contentEncoding: String?
    private(set) var etag: String?
    /// The digest that the lane has computed, where one was asked for.
    private(set) var digest: BodyDigest?

    init() {}

    /// What an earlier process of the service has written down.
    init(status: Int?, contentLength: Int?, contentEncoding: String?, etag: String?) {
        self.status = status
        self.contentLength = contentLength
        self.contentEncoding = contentEncoding
        self.etag = etag
    }

    mutating func noteStatus(_ status: Int) { self.status = status }

    mutating func noteETag(_ etag: String?) { self.etag = etag }

    mutating func describe(_ known: Representation?) {
        contentLength = known?.length
        contentEncoding = known?.coding
    }

    /// A lane says how an attempt has ended.
    mutating func ended(_ facts: EndFacts) {
        if let status = facts.status { noteStatus(status) }
        digest = facts.digest
        if let etag = facts.etag { self.etag = etag }
    }

    /// The body is not whole, and a digest of a part is not what was asked for.
    mutating func dropDigest() { digest = nil }
}
