/// A value as JSON, encoded once: to be kept, and to be sent as a part of any number of replies.
public struct EncodedValue: Sendable, Equatable {
    /// The text, in UTF-8, without a line break.
    public let json: [UInt8]

    /// Encodes a value.
    ///
    /// - Throws: `EncodingError`, for instance for a number that is not finite.
    public init(_ value: some Encodable) throws {
        json = try MessageCoding.encode(value)
    }

    /// Names a thing by letters and digits.
    ///
    /// - Returns: nil for any other text, of which something might have to be escaped (RFC 8259 §7).
    public init?(word: String) {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: false
            }
        }
        guard isPlain else { return nil }
        json = [UInt8(ascii: "\"")] + word.utf8 + [UInt8(ascii: "\"")]
    }
}

/// The parameters of a reply, put together of values that are encoded already.
public struct EncodedParameters: Sendable, Equatable {
    let json: [UInt8]

    /// An object of these fields.
    ///
    /// - Parameter fields: names of an interface (varlink.org: letters, digits and underscores), each once.
    public init(_ fields: KeyValuePairs<StaticString, EncodedValue>) {
        var json = [UInt8(ascii: "{")]
        for (name, value) in fields {
            if json.count > 1 { json.append(UInt8(ascii: ",")) }
            json.append(UInt8(ascii: "\""))
            name.withUTF8Buffer { json += $0 }
            json += [UInt8(ascii: "\""), UInt8(ascii: ":")]
            json += value.json
        }
        json.append(UInt8(ascii: "}"))
        self.json = json
    }

    /// The whole reply, with the NUL at the end: what `ReplyEnvelope` would be encoded as.
    func message(continues: Bool) -> [UInt8] {
        let before = continues ? #"{"continues":true,"parameters":"# : #"{"parameters":"#
        return before.utf8 + json + [UInt8(ascii: "}"), 0]
    }
}
