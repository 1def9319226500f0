/// What a user asks about a body's digest: `sha256` or `sha512` to get the digest; with a colon and digits, to check
/// it.
public struct DigestOption: Sendable, Equatable, CustomStringConvertible {
    /// The known algorithms, each with the number of its hexadecimal digits.
    public static let algorithms = ["sha256": 64, "sha512": 128]

    /// The name of the algorithm, in lower case.
    public let algorithm: String
    /// The digits that the body must have, in lower case; nil to get the digest.
    public let digits: String?

    /// Reads `sha256`, `sha256:` and 64 digits, `sha512`, `sha512:` and 128 digits, in either case.
    ///
    /// - Returns: nil for anything else.
    public static func parse(_ text: String) -> DigestOption? {
        let parts = text.lowercased().split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first.map(String.init), let length = algorithms[name] else { return nil }
        guard parts.count == 2 else { return DigestOption(algorithm: name, digits: nil) }
        let digits = parts[1].utf8
        guard digits.count == length,
            digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        return DigestOption(algorithm: name, digits: String(parts[1]))
    }

    /// The text that the service expects.
    public var description: String { digits.map { "\(algorithm):\($0)" } ?? algorithm }

    /// Whether the service's digest of a whole body is the one that was asked for.
    public func accepts(_ digest: String?) -> Bool {
        guard let digest else { return false }
        return digits == nil ? digest.hasPrefix("\(algorithm):") : digest == description
    }
}
