/// A value that was encoded as JSON once, to be kept and to be sent as a part of any number of replies.
public struct EncodedValue: Sendable, Equatable {
    /// The text, in UTF-8, without a line break.
    public let json: [UInt8]

    /// Encodes a value.
    ///
    /// - Throws: `EncodingError`, for instance for a number that is not finite.
    public init(_ value: some Encodable) throws {
        json = try MessageCoding.encode(value)
    }

    /// Encodes a word of ASCII letters and digits as a JSON string.
    ///
    /// - Returns: nil for any other text, since characters in it might have to be escaped (RFC 8259 §7).
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

/// The parameters of a reply, assembled from values that are already encoded.
public struct EncodedParameters: Sendable, Equatable {
    let json: [UInt8]

    /// An object of these fields.
    ///
    /// - Parameter fields: field names of an interface (varlink.org: letters, digits and underscores), each at most
    ///   once.
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

    /// The whole reply with the NUL at the end: the same message that `ReplyEnvelope` encodes to.
    func message(continues: Bool) -> [UInt8] {
        let before = continues ? #"{"continues":true,"parameters":"# : #"{"parameters":"#
        return before.utf8 + json + [UInt8(ascii: "}"), 0]
    }
}
