/// Checks the bytes of a message before they are decoded, so that a peer cannot choose what decoding costs.
///
/// Swift compares and hashes strings in a normal form (Unicode Standard Annex #15). This takes time proportional to
/// the square of the length of a run of combining marks: 24 KB of them take most of a second. Field names must
/// therefore be plain ASCII, and all other text must be stream-safe (UAX #15 §13: at most 30 non-starters in a row).
/// No writing system needs more.
///
/// For valid JSON (RFC 8259) the result is exact. The decoder itself refuses text that is not valid JSON.
struct MessageScan {
    /// What is wrong with a message.
    enum Fault: Error, Equatable {
        /// Arrays and objects are nested too deeply. The decoder recurses.
        case nestedTooDeeply
        /// There are more values than a peer may send. Decoding a value costs far more than its bytes.
        case tooManyValues
        /// A field's name is too long, contains an escape, or contains a character that is not ASCII.
        case fieldName
        /// There are too many combining characters in a row in the value of this field; nil where the value has no
        /// field.
        case combiningCharacters(field: String?)
    }

    /// Maximum depth of nested arrays and objects in a message.
    static let maximumDepth = 64
    /// Maximum length of a field's name, in bytes.
    static let maximumNameLength = 128
    /// Maximum number of combining characters in a row (UAX #15 §13).
    static let maximumCombining = 30

    private let bytes: UnsafeBufferPointer<UInt8>
    private var index = 0
    private var depth = 0
    private var values = 0
    private let maximumValues: Int
    /// The last string: the name of a field, if a colon follows.
    private var text = 0..<0
    private var textIsPlain = true
    /// The last name of a field.
    private var name = 0..<0

    /// Checks a whole message.
    ///
    /// - Parameter maximumValues: the maximum number of arrays, objects and values in them.
    /// - Throws: the first fault.
    static func check(_ bytes: [UInt8], maximumValues: Int = .max) throws(Fault) {
        let result = bytes.withUnsafeBufferPointer { bytes -> Result<Void, Fault> in
            var scan = MessageScan(bytes, maximumValues)
            do throws(Fault) {
                return .success(try scan.run())
            } catch {
                return .failure(error)
            }
        }
        try result.get()
    }

    private init(_ bytes: UnsafeBufferPointer<UInt8>, _ maximumValues: Int) {
        self.bytes = bytes
        self.maximumValues = maximumValues
    }

    private mutating func run() throws(Fault) {
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                try scanText()
            case UInt8(ascii: ":"):
                guard textIsPlain, text.count <= Self.maximumNameLength else { throw .fieldName }
                name = text
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                values += 1
                guard depth <= Self.maximumDepth else { throw .nestedTooDeeply }
            case UInt8(ascii: "]"), UInt8(ascii: "}"):
                depth -= 1
            case UInt8(ascii: ","):
                values += 1
            default:
                break
            }
            guard values <= maximumValues else { throw .tooManyValues }
        }
    }

    /// Scans a string, from the byte after its opening quotation mark to the byte after its closing one.
    private mutating func scanText() throws(Fault) {
        let start = index
        var isPlain = true
        var combining = 0
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            if byte == UInt8(ascii: "\"") {
                text = start..<index - 1
                textIsPlain = isPlain
                return
            }
            if byte < 0x80, byte != UInt8(ascii: "\\") {
                combining = 0
                continue
            }
            isPlain = false
            let scalar = byte < 0x80 ? takeEscape() : takeScalar(byte)
            // The decoder refuses bytes that are no scalar, or replaces them by U+FFFD, which is a starter.
            combining = scalar.map(Self.combines) ?? false ? combining + 1 : 0
            guard combining <= Self.maximumCombining else {
                throw .combiningCharacters(field: nameText)
            }
        }
    }

    private var nameText: String? {
        name.isEmpty ? nil : String(decoding: bytes[name], as: UTF8.self)
    }

    private static func combines(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.canonicalCombiningClass != .notReordered
    }

    /// Takes the scalar that begins with this byte (RFC 3629 §3).
    private mutating func takeScalar(_ first: UInt8) -> Unicode.Scalar? {
        let following = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0
        guard following > 0, index + following <= bytes.count else { return nil }
        var value = UInt32(first) & (0x3f >> UInt32(following))
        for byte in bytes[index..<index + following] {
            guard byte & 0xc0 == 0x80 else { return nil }
            value = value << 6 | UInt32(byte & 0x3f)
        }
        index += following
        return Unicode.Scalar(value)
    }

    /// Takes the scalar of an escape whose backslash is already taken (RFC 8259 §7).
    private mutating func takeEscape() -> Unicode.Scalar? {
        guard index < bytes.count else { return nil }
        let kind = bytes[index]
        index += 1
        guard kind == UInt8(ascii: "u"), let unit = takeUnit() else { return nil }
        guard 0xd800...0xdbff ~= unit else { return Unicode.Scalar(unit) }
        guard index + 1 < bytes.count, bytes[index] == UInt8(ascii: "\\"),
            bytes[index + 1] == UInt8(ascii: "u")
        else { return nil }
        index += 2
        guard let low = takeUnit(), 0xdc00...0xdfff ~= low else { return nil }
        return Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
    }

    /// Takes four hexadecimal digits.
    private mutating func takeUnit() -> UInt32? {
        guard index + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[index..<index + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }
}
