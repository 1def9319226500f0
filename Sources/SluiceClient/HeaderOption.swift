public import SluiceInterface

/// A header as users write it: `Name: value`.
public enum HeaderOption {
    /// Splits it at the first colon and removes spaces around both parts.
    ///
    /// The service checks the characters of the name and the value, and refuses some names.
    ///
    /// - Returns: nil where there is no colon, or no name before it.
    public static func parse(_ text: String) -> HeaderField? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let name = trimmed(text[..<colon])
        guard !name.isEmpty else { return nil }
        return HeaderField(name: String(name), value: String(trimmed(text[text.index(after: colon)...])))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text = text.dropFirst() }
        while let last = text.last, last == " " || last == "\t" { text = text.dropLast() }
        return text
    }
}
