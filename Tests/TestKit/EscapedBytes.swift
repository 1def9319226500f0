/// Bytes in the notation of the response table: text in which `\` begins an escape.
///
/// | escape | bytes |
/// |---|---|
/// | `\r` `\n` `\t` `\0` `\\` `\"` | as in C |
/// | `\x7f` | the byte with this number |
/// | `\<1f 8b 08>` | several of them; blanks are for the eye |
/// | `\(5000*ab)` | `ab`, 5,000 times; escapes but `\(` count inside |
/// | `\{base}` | `http://127.0.0.1:PORT`, of the server that plays the entry |
/// | `\{authority}` | `127.0.0.1:PORT` |
/// | `\{port}` | `PORT` |
public struct EscapedBytes: Sendable {
    private let text: String

    /// - Throws: `TestFailure` for an unknown escape.
    public init(_ text: some StringProtocol) throws {
        self.text = String(text)
        _ = try bytes(scheme: "", authority: "")
    }

    /// The bytes, once the server's address is known.
    public func bytes(scheme: String, authority: String) throws -> [UInt8] {
        var reader = Reader(text: Array(text.utf8)[...], scheme: scheme, authority: authority)
        return try reader.read(until: nil)
    }

    /// The bytes of text that does not name the server.
    public func bytes() throws -> [UInt8] { try bytes(scheme: "", authority: "") }

    private struct Reader {
        var text: ArraySlice<UInt8>
        let scheme: String
        let authority: String

        mutating func read(until end: UInt8?) throws -> [UInt8] {
            var bytes: [UInt8] = []
            while let byte = text.popFirst() {
                if byte == end { return bytes }
                guard byte == UInt8(ascii: "\\") else {
                    bytes.append(byte)
                    continue
                }
                bytes += try escape()
            }
            guard end == nil else { throw TestFailure("an escape without its end") }
            return bytes
        }

        private mutating func escape() throws -> [UInt8] {
            let letter = text.popFirst().map { Character(UnicodeScalar($0)) }
            switch letter {
            case "r": return [0x0d]
            case "n": return [0x0a]
            case "t": return [0x09]
            case "0": return [0]
            case "\\", "\"": return letter?.utf8.map { $0 } ?? []
            case "x":
                defer { text = text.dropFirst(2) }
                return try hexadecimal(text.prefix(2))
            case "<": return try hexadecimal(word(until: ">")[...])
            case "{": return try place(word(until: "}"))
            case "(":
                guard let count = Int(String(decoding: try word(until: "*"), as: UTF8.self)) else {
                    throw TestFailure("how many times is not a number")
                }
                let unit = try read(until: UInt8(ascii: ")"))
                return Self.repeated(unit, count)
            default: throw TestFailure("there is no escape \\\(letter.map(String.init) ?? "")")
            }
        }

        /// Repeats by doubling: in a debug build joining a megabyte takes seconds.
        private static func repeated(_ unit: [UInt8], _ count: Int) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(unit.count * count)
            if count > 0 { bytes += unit }
            while bytes.count < unit.count * count {
                bytes += bytes[..<min(bytes.count, unit.count * count - bytes.count)]
            }
            return bytes
        }

        private mutating func word(until end: Character) throws -> [UInt8] {
            guard let place = text.firstIndex(of: end.asciiValue ?? 0) else {
                throw TestFailure("an escape without its \(end)")
            }
            defer { text = text[(place + 1)...] }
            return Array(text[..<place])
        }

        private func place(_ name: [UInt8]) throws -> [UInt8] {
            switch String(decoding: name, as: UTF8.self) {
            case "base": Array("\(scheme)://\(authority)".utf8)
            case "authority": Array(authority.utf8)
            case "port": Array(authority.split(separator: ":").last.map(String.init)?.utf8 ?? "".utf8)
            case let other: throw TestFailure("there is no place \(other)")
            }
        }

        private func hexadecimal(_ digits: ArraySlice<UInt8>) throws -> [UInt8] {
            let digits = digits.filter { $0 != UInt8(ascii: " ") }
            return try stride(from: 0, to: digits.count, by: 2).map { index in
                let pair = digits[index...].prefix(2)
                guard pair.count == 2, let byte = UInt8(String(decoding: pair, as: UTF8.self), radix: 16)
                else {
                    throw TestFailure("no hexadecimal digits: \(String(decoding: pair, as: UTF8.self))")
                }
                return byte
            }
        }
    }
}
