/// A word or a sign of an interface description.
struct InterfaceToken: Equatable {
    enum Kind: Equatable {
        /// A keyword, a name or the name of an interface. The parser knows which.
        case word(String)
        /// One of `( ) : , ? [] [string] ->`.
        case sign(String)
        case end
    }

    let kind: Kind
    /// Counted from 1.
    let line: Int

    /// For messages.
    var description: String {
        switch kind {
        case .word(let text), .sign(let text): "“\(text)”"
        case .end: "the end of the text"
        }
    }
}

/// Splits the text of an interface description into words and signs. Skips white space and comments.
struct InterfaceScanner {
    private let text: [UInt8]
    private var position = 0
    private var line = 1

    private static let signs = ["->", "[]", "[string]", "(", ")", ":", ",", "?"]

    init(_ text: String) {
        self.text = Array(text.utf8)
    }

    mutating func next() throws(InterfaceDescriptionError) -> InterfaceToken {
        skipSpaceAndComments()
        guard position < text.count else { return InterfaceToken(kind: .end, line: line) }
        if let sign = Self.signs.first(where: { text[position...].starts(with: $0.utf8) }) {
            position += sign.utf8.count
            return InterfaceToken(kind: .sign(sign), line: line)
        }
        let word = text[position...].prefix { Self.belongsToWord($0) }
        guard !word.isEmpty else {
            let character = String(decoding: text[position...], as: UTF8.self).prefix(1)
            throw InterfaceDescriptionError(line: line, reason: "“\(character)” has no meaning here")
        }
        position += word.count
        return InterfaceToken(kind: .word(String(decoding: word, as: UTF8.self)), line: line)
    }

    private mutating func skipSpaceAndComments() {
        while position < text.count {
            switch text[position] {
            case UInt8(ascii: "\n"):
                line += 1
                position += 1
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                position += 1
            case UInt8(ascii: "#"):
                position = text[position...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            default:
                return
            }
        }
    }

    private static func belongsToWord(_ byte: UInt8) -> Bool {
        InterfaceName.isAlphanumeric(byte)
            || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
    }
}

/// The rules for names (varlink.org, "Interface Definition").
enum InterfaceName {
    static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isUppercase(byte) || isLowercase(byte) || isDigit(byte)
    }

    /// Whether this is the name of a type, a method or an error: `Name1`.
    static func isMember(_ name: String) -> Bool {
        guard let first = name.utf8.first else { return false }
        return isUppercase(first) && name.utf8.allSatisfy(isAlphanumeric)
    }

    /// Whether this is the name of a field or a value of an enumeration: `camelCase` or `snake_case`, without an
    /// underscore at an end or next to another.
    static func isField(_ name: String) -> Bool {
        guard let first = name.utf8.first, isUppercase(first) || isLowercase(first) else { return false }
        return name.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
            .allSatisfy { !$0.isEmpty && $0.allSatisfy(isAlphanumeric) }
    }

    /// Whether this is the name of an interface: two or more labels of letters, digits and inner dashes; the first
    /// begins with a letter.
    static func isInterface(_ name: String) -> Bool {
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.count >= 2, let first = name.utf8.first, isUppercase(first) || isLowercase(first) else {
            return false
        }
        let dash = UInt8(ascii: "-")
        return labels.allSatisfy { label in
            !label.isEmpty && label.first != dash && label.last != dash
                && label.allSatisfy { isAlphanumeric($0) || $0 == dash }
        }
    }

    private static func isUppercase(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }
    private static func isLowercase(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }
    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
