public import SluiceInterface

/// What is remembered of the response whose body is being delivered: enough to ask for the rest of exactly this body.
public struct Representation: Codable, Sendable, Equatable {
    /// Where it came from, after all redirects. Another place is another representation, whatever its validator says.
    public var url: String
    /// The caller's credentials were sent there too: no redirect had led to another origin (`CredentialRules`).
    public var sendsHeaders: Bool
    /// Which version it is.
    public var version: Version
    /// The length of the whole body, in bytes.
    public var length: Int?
    /// How its end is known.
    public var framing: BodyFraming
    /// The server says that it does not serve ranges (`Accept-Ranges: none`, RFC 9110 §14.3).
    public var refusesRanges: Bool
    /// What the origin says about the digest of the whole: to be compared with every byte from the first one on.
    public var digests: [BodyDigest]
    /// How its bytes are coded, as `ContentCoding.normalised` names it; nil where they are not. Length and digests are of
    /// the coded bytes, which are what the consumer gets.
    public var coding: String?
    /// Absent in what was stored before there was such a thing.
    private var hasCookies: Bool?
    /// It was asked for with cookies that a redirect of the job had set, and no attempt begins with.
    public var needsCookies: Bool {
        get { hasCookies ?? false }
        set { hasCookies = newValue ? true : nil }
    }

    /// A representation.
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

    /// Why a body of this kind cannot go on where it broke off; nil where it can.
    public var obstacle: (code: OutcomeCode, reason: String)? {
        if framing == .unannounced {
            return (.notResumable, "its end is known from nothing but the end of the connection")
        }
        if coding == ContentCoding.unreadable {
            return (.notResumable, "nothing can be made of its Content-Encoding")
        }
        if needsCookies {
            return (.notResumable, "it was sent for cookies that a redirect had set")
        }
        switch version {
        case .strong: return nil
        case .weak: return (.weakValidator, "the server names its version by a weak validator only")
        case .unnamed: return (.noValidator, "the server names no version of it (ETag or Last-Modified)")
        }
    }

    /// Whether it can be put aside and taken up again at the cost of the missing bytes alone.
    public var isParkable: Bool {
        obstacle == nil && !refusesRanges && digests.isEmpty
    }
}
