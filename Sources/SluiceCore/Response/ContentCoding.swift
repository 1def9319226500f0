/// The content codings of a body (RFC 9110 §8.4), in the normalised form that is stored, shown and compared.
///
/// A body is delivered as the server coded it. Two codings of one resource therefore have different bytes, even if a
/// server gives both the same entity-tag.
public enum ContentCoding {
    /// The longest coding that is stored, in bytes.
    public static let maximumLength = 64
    /// Stands for a coding that is not a list of tokens, or is too long. No server can send this value. A body with
    /// this coding is delivered but never continued, because two such codings cannot be distinguished.
    public static let unreadable = "(unreadable)"

    /// Returns the normalised form: a list of names in lower case, in the order in which they were applied, joined by a
    /// comma and a space. `x-gzip` and `x-compress` are called `gzip` and `compress` (RFC 9110 §8.4.1).
    ///
    /// - Parameter value: the value of the field Content-Encoding.
    /// - Returns: nil if the body is not coded: for no value, an empty one, and `identity`.
    public static func normalised(_ value: String?) -> String? {
        guard let value = value.fieldValue else { return nil }
        // The elements may have many blanks around them, so only the length of the result is limited.
        guard let lowercased = value.asciiLowercased else { return unreadable }
        var length = 0
        var names: [String] = []
        for element in lowercased.listElements where !element.isEmpty && element != "identity" {
            let name = element == "x-gzip" || element == "x-compress" ? String(element.dropFirst(2)) : element
            length += name.utf8.count + (names.isEmpty ? 0 : 2)
            guard name.isToken, length <= maximumLength else { return unreadable }
            names.append(name)
        }
        return names.isEmpty ? nil : names.joined(separator: ", ")
    }

    /// Whether a text can be what `normalised` returned.
    package static func isPlausible(_ text: String) -> Bool {
        guard text.utf8.count <= maximumLength, text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            return false
        }
        return text == unreadable || normalised(text) == text
    }
}
