internal import Logging

/// One field of a journal entry: a name that journald accepts and a value of any bytes.
struct JournalField: Equatable, Sendable {
    let name: String
    var value: String

    /// journald's own limit.
    static let longestName = 64
    /// Maximum length of a value, in bytes of UTF-8. journald would accept far more, through a memory file for each
    /// entry. No value that Sluice logs about a job is longer unless a client makes it so.
    static let longestValue = 16 * 1024

    /// - Parameter name: used as it is; `name(forMetadataKey:)` makes one.
    init(_ name: String, _ value: String) {
        self.name = name
        self.value = Self.bounded(value)
    }

    /// The field in journald's form (systemd.io/JOURNAL_NATIVE_PROTOCOL): `NAME=value` and a newline. Where the value
    /// contains a newline, the value's length comes before it.
    var bytes: [UInt8] {
        var value = value
        return value.withUTF8 { value in
            var bytes = Array(name.utf8)
            if value.contains(UInt8(ascii: "\n")) {
                bytes.append(UInt8(ascii: "\n"))
                withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes.append(contentsOf: $0) }
            } else {
                bytes.append(UInt8(ascii: "="))
            }
            bytes.append(contentsOf: value)
            bytes.append(UInt8(ascii: "\n"))
            return bytes
        }
    }

    /// The name under which a metadata key goes into the journal.
    ///
    /// A key that is a valid upper-case field name stays as it is (`SLUICE_JOB`, `MESSAGE_ID`, `ERRNO`). Any other is
    /// upper-cased, each byte that a name may not have becomes `_`, and it is prefixed with `SLUICE_`
    /// (`http-status` → `SLUICE_HTTP_STATUS`), as are the names that the handler itself sets (`PRIORITY` →
    /// `SLUICE_PRIORITY`). Names longer than 64 bytes are cut.
    ///
    /// - Returns: nil for a key without any usable character.
    static func name(forMetadataKey key: String) -> String? {
        let raw = Array(key.utf8)
        if isValid(raw), !reserved.contains(key) { return key }
        let upper = raw.map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 32
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            default: UInt8(ascii: "_")
            }
        }
        let rest = upper.drop { $0 == UInt8(ascii: "_") }
        guard !rest.isEmpty else { return nil }
        return String(decoding: (Array("SLUICE_".utf8) + rest).prefix(longestName), as: UTF8.self)
    }

    /// The names that journald accepts from a client: upper-case letters, digits and underscores, 1 to 64 bytes. The
    /// first character is neither a digit nor an underscore, which marks fields that only journald sets.
    private static func isValid(_ name: [UInt8]) -> Bool {
        guard let first = name.first, name.count <= longestName, isUpper(first) else { return false }
        return name.allSatisfy { byte in
            isUpper(byte) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
    }

    private static func isUpper(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static let reserved: Set<String> = [
        "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "CODE_FILE", "CODE_LINE", "CODE_FUNC",
    ]

    private static func bounded(_ value: String) -> String {
        guard value.utf8.count > longestValue else { return value }
        let mark = "…"
        // If the value were cut inside a character, the decoder would put a replacement mark there.
        var end = value.utf8.index(value.utf8.startIndex, offsetBy: longestValue - mark.utf8.count)
        while end.samePosition(in: value.unicodeScalars) == nil { end = value.utf8.index(before: end) }
        return String(value[..<end]) + mark
    }
}
