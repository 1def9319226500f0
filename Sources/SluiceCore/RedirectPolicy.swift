/// Which redirects a lane follows, and what it takes along to another origin (RFC 9110 §15.4).
///
/// To another origin all fields of the caller go along but credentials: those that HTTP defines, and those that the
/// administrator names.
public struct RedirectPolicy: Sendable, Equatable {
    /// The fields that are always credentials, in lower case (RFC 9110 §11.6.2, §11.7.2; RFC 6265 §4.2).
    public static let credentials: Set<String> = ["authorization", "cookie", "proxy-authorization"]

    /// How many redirects are followed one after another: 0 to 20.
    public var limit: Int
    /// Names of further fields that are credentials, in lower case.
    public var credentialFields: [String]
    /// Whether a redirect from https to http is followed.
    public var allowsDowngrade: Bool

    /// A policy; nothing is checked here.
    ///
    /// - Parameter credentialFields: in lower case.
    public init(limit: Int, credentialFields: [String], allowsDowngrade: Bool) {
        self.limit = limit
        self.credentialFields = credentialFields
        self.allowsDowngrade = allowsDowngrade
    }

    /// Whether a field stays behind where a redirect leads to another origin.
    ///
    /// - Parameter name: of the field, in either case.
    public func isCredential(_ name: String) -> Bool {
        let name = name.lowercased()
        return Self.credentials.contains(name) || credentialFields.contains(name)
    }
}
