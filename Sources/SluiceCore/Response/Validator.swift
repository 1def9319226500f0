/// A name for one version of a representation, which distinguishes its bytes from those of another version (RFC 9110
/// §8.8).
public struct Validator: Codable, Sendable, Equatable {
    /// Which field it came in.
    public enum Kind: String, Codable, Sendable {
        /// An entity-tag.
        case etag
        /// A date of last modification.
        case lastModified
    }

    /// Which field it came in.
    public var kind: Kind
    /// The field's value. It is compared, and sent in If-Range, byte for byte.
    public var text: String

    package init(kind: Kind, text: String) {
        self.kind = kind
        self.text = text
    }

    /// The field's name, in lower case.
    public var fieldName: String {
        switch kind {
        case .etag: "etag"
        case .lastModified: "last-modified"
        }
    }

    /// The longest validator that is kept, in bytes.
    public static let maximumLength = 1024
}

/// What a response says about the version that its body belongs to.
public enum Version: Codable, Sendable, Equatable {
    /// A validator that promises the same bytes.
    case strong(Validator)
    /// A validator that promises only the same meaning, which is not enough to continue a body.
    case weak
    /// There is none.
    case unnamed

    /// Reads the version from the fields of a response.
    ///
    /// A strong entity-tag is the best there is. A date is strong only if the response was made at least a second later
    /// by the same clock, for until then the body may have changed again within the same second (RFC 9110 §8.8.2.2).
    ///
    /// - Parameter field: looks a field up by its name in lower case.
    public init(field: (String) -> String?) {
        let etag = field("etag").fieldValue
        if let etag, Self.isStrong(etag: etag) {
            self = .strong(Validator(kind: .etag, text: etag))
            return
        }
        let modified = field("last-modified").fieldValue
        // A weak entity-tag says that the bytes may change while the tag stays. A date beside it does not change that.
        // The length is checked because a date may have any number of blanks and still be valid.
        if etag == nil, let modified, modified.utf8.count <= Validator.maximumLength,
            let changed = HTTPDate.parse(modified),
            let made = field("date").flatMap({ HTTPDate.parse($0.trimmingBlanks) }), made - changed >= 1
        {
            self = .strong(Validator(kind: .lastModified, text: modified))
            return
        }
        self = etag == nil && modified == nil ? .unnamed : .weak
    }

    /// The strong validator, if there is one.
    public var validator: Validator? {
        switch self {
        case .strong(let validator): validator
        case .weak, .unnamed: nil
        }
    }

    /// `"…"` without W/ (RFC 9110 §8.8.3).
    private static func isStrong(etag: String) -> Bool {
        etag.utf8.count <= Validator.maximumLength && isOpaqueTag(etag.utf8[...])
    }

    /// Visible ASCII in double quotes: anything else could not be sent back as it came.
    static func isOpaqueTag(_ text: Substring.UTF8View) -> Bool {
        text.count >= 2 && text.first == UInt8(ascii: "\"") && text.last == UInt8(ascii: "\"")
            && text.dropFirst().dropLast().allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x22 }
    }
}
