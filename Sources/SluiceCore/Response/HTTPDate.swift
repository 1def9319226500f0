internal import CUnix

/// Dates of HTTP (RFC 9110 §5.6.7), in all three forms that a recipient must accept.
public enum HTTPDate {
    private static let forms = [
        "%a, %d %b %Y %H:%M:%S GMT",
        // RFC 850: two digits for the year.
        "%A, %d-%b-%y %H:%M:%S GMT",
        // asctime(3)
        "%a %b %e %H:%M:%S %Y",
    ]

    /// The moment, in seconds since 1970; nil if the text is not a date.
    public static func parse(_ text: String) -> Int? {
        // strptime(3) ends at a NUL, and takes a line feed for a space.
        guard text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else { return nil }
        for form in forms {
            var seconds: Int64 = 0
            // The C locale's names: no process here calls setlocale(3).
            if cunix_parse_time(text, form, &seconds) { return Int(seconds) }
        }
        return nil
    }
}
