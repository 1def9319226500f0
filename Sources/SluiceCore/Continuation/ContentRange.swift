/// The field Content-Range (RFC 9110 §14.4).
public enum ContentRange: Sendable, Equatable {
    /// `bytes first-last/complete`, where the complete length may be unknown.
    case part(first: Int, last: Int, complete: Int?)
    /// `bytes */complete`: what was asked for is not there.
    case unsatisfied(complete: Int)

    /// The largest complete length that is taken, in bytes: 64 PiB, which no body has. Sums of such lengths still fit.
    public static let largestLength = 1 << 56

    /// Reads the field; nil for another unit, and for what makes no sense.
    public init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: true)
        guard words.count == 2, words[0].lowercased() == "bytes" else { return nil }
        let parts = words[1].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let complete = Self.number(parts[1])
        guard complete != nil || parts[1] == "*" else { return nil }
        if parts[0] == "*" {
            guard let complete else { return nil }
            self = .unsatisfied(complete: complete)
            return
        }
        let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let first = Self.number(ends[0]), let last = Self.number(ends[1]),
            first <= last, last < complete ?? Self.largestLength
        else { return nil }
        self = .part(first: first, last: last, complete: complete)
    }

    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard let number = Int(text), number <= largestLength else { return nil }
        return number
    }
}
