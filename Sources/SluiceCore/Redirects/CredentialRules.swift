public import SluiceInterface

/// Which of the caller's fields are sent after a redirect to another origin: all that are not credentials.
///
/// Credentials are for the origin that the caller named. Once a redirect has led away from it they are dropped. They
/// stay dropped on the way back, because another origin has chosen the URL of that request.
public struct CredentialRules: Sendable, Equatable {
    /// Names of fields that are always credentials, in lower case (RFC 9110 §11, RFC 6265 §4.2).
    public static let names = ["authorization", "cookie", "proxy-authorization"]

    /// Names of all fields that are credentials, in lower case.
    private let names: Set<String>
    /// True if a redirect has led to another origin.
    public private(set) var areDropped: Bool

    /// The rules at the beginning of an attempt.
    ///
    /// - Parameters:
    ///   - others: names of additional fields that are credentials, in lower case.
    ///   - areDropped: a redirect of an earlier attempt had led to another origin than the caller's, and this attempt
    ///     begins at its target.
    public init(others: [String], areDropped: Bool = false) {
        // Names come from the settings and from `RequestHeaders`, which both accept only ASCII.
        names = Set(Self.names + others)
        self.areDropped = areDropped
    }

    /// A redirect leads from one place to another.
    public mutating func follow(from: Origin, to: Origin) {
        if from != to { areDropped = true }
    }

    /// Whether a field is a credential.
    ///
    /// - Parameter name: as the caller wrote it.
    public func isCredential(_ name: String) -> Bool {
        names.contains(name.lowercased())
    }

    /// The fields that are sent now.
    public func sent(of fields: [HeaderField]) -> [HeaderField] {
        areDropped ? fields.filter { !isCredential($0.name) } : fields
    }
}
