/// Which redirects a lane follows, and which fields are credentials (RFC 9110 §15.4).
///
/// `CredentialRules` decides which fields are sent to another origin.
public struct RedirectPolicy: Sendable, Equatable {
    /// How many redirects are followed one after another: 0 to 20.
    public var limit: Int
    /// Names of additional fields that are credentials, in lower case.
    public var credentialFields: [String]
    /// Whether a redirect from https to http is followed.
    public var allowsDowngrade: Bool

    /// A policy; nothing is checked here.
    ///
    /// - Parameters:
    ///   - limit: how many redirects are followed.
    ///   - credentialFields: in lower case.
    ///   - allowsDowngrade: whether redirects from https to http are followed.
    public init(limit: Int, credentialFields: [String], allowsDowngrade: Bool) {
        self.limit = limit
        self.credentialFields = credentialFields
        self.allowsDowngrade = allowsDowngrade
    }
}
