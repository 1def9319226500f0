public import SluiceInterface

/// Which of the caller's fields go along when redirects lead to another origin: all that are no credentials.
///
/// Credentials are for the origin that the caller named. Once a redirect has led away from it they are dropped, and stay
/// so on the way back: whoever was on the way has chosen where that leads.
public struct CredentialRules: Sendable, Equatable {
    /// Credentials by their nature, in lower case (RFC 9110 §11, RFC 6265 §4.2).
    public static let names = ["authorization", "cookie", "proxy-authorization"]

    /// Names of credentials, in lower case.
    private let names: Set<String>
    /// A redirect has led to another origin.
    public private(set) var areDropped: Bool

    /// The rules at the beginning of an attempt.
    ///
    /// - Parameters:
    ///   - others: names of more fields that stay behind, in lower case.
    ///   - areDropped: a redirect of an earlier attempt had led to another origin than the caller's, and this attempt
    ///     begins where it led.
    public init(others: [String], areDropped: Bool = false) {
        // Names come from the settings and from `RequestHeaders`, which both let only ASCII through.
        names = Set(Self.names + others)
        self.areDropped = areDropped
    }

    /// A redirect leads from one place to another.
    public mutating func follow(from: Origin, to: Origin) {
        if from != to { areDropped = true }
    }

    /// Whether a field stays behind.
    ///
    /// - Parameter name: as the caller wrote it.
    public func isCredential(_ name: String) -> Bool {
        names.contains(name.lowercased())
    }

    /// The fields that go along now.
    public func sent(of fields: [HeaderField]) -> [HeaderField] {
        areDropped ? fields.filter { !isCredential($0.name) } : fields
    }
}
