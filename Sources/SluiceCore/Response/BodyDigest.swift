internal import FoundationEssentials
internal import RawStructuredFieldValues

/// A digest algorithm. RFC 9530 §5 lists others; these are the ones that it does not advise against.
public enum DigestAlgorithm: String, Codable, Sendable, CaseIterable {
    /// SHA-256 (FIPS 180-4).
    case sha256
    /// SHA-512 (FIPS 180-4).
    case sha512

    /// The length of a digest, in bytes.
    public var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha512: 64
        }
    }

    /// The algorithm's key in Repr-Digest.
    fileprivate var fieldKey: String {
        switch self {
        case .sha256: "sha-256"
        case .sha512: "sha-512"
        }
    }
}

/// The digest of a whole body.
public struct BodyDigest: Codable, Sendable, Equatable, CustomStringConvertible {
    /// The algorithm that computed it.
    public let algorithm: DigestAlgorithm
    /// The value, in lower-case hexadecimal digits.
    public let hexadecimal: String

    /// A digest; nothing is checked here.
    public init(algorithm: DigestAlgorithm, bytes: some Sequence<UInt8>) {
        self.init(
            algorithm: algorithm,
            hexadecimal: bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())
    }

    package init(algorithm: DigestAlgorithm, hexadecimal: String) {
        self.algorithm = algorithm
        self.hexadecimal = hexadecimal
    }

    /// `sha256:` and the digits.
    public var description: String { "\(algorithm.rawValue):\(hexadecimal)" }

    /// The longest field that is parsed, in bytes. A longer one is ignored, because parsing takes time that grows with
    /// the square of the length.
    static let longestField = 4096

    /// The digests in the field Repr-Digest (RFC 9530 §3) that can be checked; malformed ones are ignored.
    public static func inField(_ text: String) -> [BodyDigest] {
        guard text.utf8.count <= longestField else { return [] }
        var parser = StructuredFieldValueParser(Array(text.utf8))
        guard let members = try? parser.parseDictionaryFieldValue() else { return [] }
        return DigestAlgorithm.allCases.compactMap { algorithm in
            guard case .item(let item)? = members[algorithm.fieldKey],
                case .undecodedByteSequence(let encoded) = item.rfc9651BareItem,
                let bytes = Data(base64Encoded: padded(encoded)), bytes.count == algorithm.byteCount
            else { return nil }
            return BodyDigest(algorithm: algorithm, bytes: bytes)
        }
    }

    /// Adds the padding that some senders leave out; a recipient should accept that (RFC 9651 §4.2.7).
    private static func padded(_ encoded: String) -> String {
        encoded + String(repeating: "=", count: (4 - encoded.utf8.count % 4) % 4)
    }
}

/// What a job asks about its body's digest.
public struct DigestRequest: Codable, Sendable, Equatable, CustomStringConvertible {
    /// The algorithm.
    public let algorithm: DigestAlgorithm
    /// The digest that the body must have; nil if the caller only asks for the digest.
    public let expected: BodyDigest?

    /// Reads `sha256`, `sha256:` + digits, or the same with sha512. Digits may be in upper case.
    ///
    /// - Throws: `RequestError` about the parameter `digest`.
    public init(_ text: String) throws(RequestError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = parts.first, let algorithm = DigestAlgorithm(rawValue: name.lowercased()) else {
            throw RequestError(
                parameter: "digest", reason: "\(RequestURL.quote(text)) names no known algorithm",
                remedy: "write sha256 or sha512, alone or with a colon and the digits")
        }
        self.algorithm = algorithm
        guard parts.count == 2 else {
            expected = nil
            return
        }
        // The length is checked first, because a client may send a very long text.
        let digits = parts[1].utf8.count == 2 * algorithm.byteCount ? parts[1].utf8.map(Self.value) : [nil]
        guard !digits.contains(nil) else {
            throw RequestError(
                parameter: "digest", reason: "\(RequestURL.quote(parts[1])) is not a \(algorithm.rawValue)",
                remedy:
                    "give \(2 * algorithm.byteCount) hexadecimal digits, as \(algorithm.rawValue)sum(1) prints"
            )
        }
        let values = digits.compactMap { $0 }
        expected = BodyDigest(
            algorithm: algorithm,
            bytes: stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] })
    }

    package init(algorithm: DigestAlgorithm, expected: BodyDigest?) {
        self.algorithm = algorithm
        self.expected = expected
    }

    /// The text from which it can be read again, with digits in lower case.
    public var description: String { expected?.description ?? algorithm.rawValue }

    /// Whether the digest of a whole body, in the form of `BodyDigest.description`, is the one that was asked for.
    public func accepts(_ digest: String?) -> Bool {
        guard let digest else { return false }
        return expected.map { $0.description == digest } ?? digest.hasPrefix("\(algorithm.rawValue):")
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
