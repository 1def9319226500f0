public import SluiceInterface

/// The facts about the response whose body is being delivered that are needed to request the rest of exactly this body.
public struct Representation: Codable, Sendable, Equatable {
    /// The URL it came from, after all redirects. A body from another URL is another representation, even if its
    /// validator is the same.
    public var url: String
    /// True if the caller's credentials were sent there: no redirect had led to another origin (`CredentialRules`).
    public var sendsHeaders: Bool
    /// The version.
    public var version: Version
    /// The length of the whole body, in bytes.
    public var length: Int?
    /// How the end of the body is recognised.
    public var framing: BodyFraming
    /// True if the server says that it does not serve ranges (`Accept-Ranges: none`, RFC 9110 §14.3).
    public var refusesRanges: Bool
    /// The digests of the whole body that the origin announced. Checking them needs every byte from the first one on.
    public var digests: [BodyDigest]
    /// The coding, as `ContentCoding.normalised` returns it; nil if there is none. Length and digests are those of the
    /// coded bytes, which the consumer gets.
    public var coding: String?
    /// Absent in a representation that an older service stored.
    private var hasCookies: Bool?
    /// True if it was requested with cookies that a redirect of the job had set. A new attempt does not have them.
    public var needsCookies: Bool {
        get { hasCookies ?? false }
        set { hasCookies = newValue ? true : nil }
    }

    /// Creates a representation.
    public init(
        url: String, sendsHeaders: Bool, version: Version, length: Int?, framing: BodyFraming,
        refusesRanges: Bool = false, digests: [BodyDigest] = [], coding: String? = nil,
        needsCookies: Bool = false
    ) {
        self.url = url
        self.sendsHeaders = sendsHeaders
        self.version = version
        self.length = length
        self.framing = framing
        self.refusesRanges = refusesRanges
        self.digests = digests
        self.coding = coding
        hasCookies = needsCookies ? true : nil
    }

    /// Why a body with this representation cannot be continued where it broke off; nil if it can.
    public var obstacle: (code: OutcomeCode, reason: String)? {
        if framing == .unannounced {
            return (.notResumable, "only the end of the connection marks its end")
        }
        if coding == ContentCoding.unreadable {
            return (.notResumable, "its Content-Encoding is malformed or too long")
        }
        if needsCookies {
            return (.notResumable, "its request had cookies that a redirect had set")
        }
        switch version {
        case .strong: return nil
        case .weak: return (.weakValidator, "the server names its version by a weak validator only")
        case .unnamed: return (.noValidator, "the server names no version of it (ETag or Last-Modified)")
        }
    }

    /// Whether the job can be parked and resumed by fetching only the missing bytes.
    public var isParkable: Bool {
        obstacle == nil && !refusesRanges && digests.isEmpty
    }
}
