/// The field Content-Range (RFC 9110 §14.4).
public enum ContentRange: Sendable, Equatable {
    /// `bytes first-last/complete`, where the complete length may be unknown.
    case part(first: Int, last: Int, complete: Int?)
    /// `bytes */complete`: the body does not have the requested bytes.
    case unsatisfied(complete: Int)

    /// The largest complete length that is accepted, in bytes (64 PiB). Sums of such lengths do not overflow.
    public static let largestLength = 1 << 56

    /// Reads the field; nil for another unit, and for a malformed field.
    public init?(_ text: String) {
        // The text is read as bytes: a combining character behind a blank or a digit makes the field malformed.
        let words = text.utf8[...].trimmingBlanks.split(separator: UInt8(ascii: " "))
        guard words.count == 2, words[0].map(\.lowercased).elementsEqual("bytes".utf8) else { return nil }
        let parts = words[1].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let complete = Int(digits: parts[1], atMost: Self.largestLength)
        guard complete != nil || parts[1].elementsEqual("*".utf8) else { return nil }
        if parts[0].elementsEqual("*".utf8) {
            guard let complete else { return nil }
            self = .unsatisfied(complete: complete)
            return
        }
        let ends = parts[0].split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Int(digits: ends[0], atMost: Self.largestLength),
            let last = Int(digits: ends[1], atMost: Self.largestLength),
            first <= last, last < complete ?? Self.largestLength
        else { return nil }
        self = .part(first: first, last: last, complete: complete)
    }
}
