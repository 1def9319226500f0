internal import FoundationEssentials

/// A method call as it is sent and received (varlink.org, "Method Call").
struct CallEnvelope<Parameters> {
    var method: String
    var parameters: Parameters?
    var oneway: Bool?
    var more: Bool?
    var upgrade: Bool?
}

extension CallEnvelope: Encodable where Parameters: Encodable {}

/// A call without its parameters. They are decoded once, when their type is known.
struct CallHead: Decodable {
    var method: String
    var oneway: Bool?
    var more: Bool?
    var upgrade: Bool?
}

/// A reply as it is sent and received.
struct ReplyEnvelope<Parameters> {
    var parameters: Parameters?
    var error: String?
    var continues: Bool?
}

extension ReplyEnvelope: Encodable where Parameters: Encodable {}

/// A reply without its parameters.
struct ReplyHead: Decodable {
    var error: String?
    var continues: Bool?
}

/// A message reduced to its parameters. Omitted parameters and null both decode as an empty object.
struct ParametersEnvelope<Parameters: Decodable>: Decodable {
    let parameters: Parameters

    enum CodingKeys: CodingKey {
        case parameters
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if container.contains(.parameters), try !container.decodeNil(forKey: .parameters) {
            parameters = try container.decode(Parameters.self, forKey: .parameters)
        } else {
            parameters = try JSONDecoder().decode(Parameters.self, from: Data("{}".utf8))
        }
    }
}

/// The same for a method that an interface declares. A field that the declaration rules out is found before the
/// parameters are decoded. The decoder's `userInfo` has the declaration under `Declaration.key`.
struct DeclaredParameters<Parameters: Decodable>: Decodable {
    let parameters: Parameters

    init(from decoder: any Decoder) throws {
        if let declaration = decoder.userInfo[Declaration.key] as? Declaration,
            let container = try? decoder.container(keyedBy: ParametersEnvelope<Parameters>.CodingKeys.self),
            let fields = try? container.nestedContainer(keyedBy: FieldName.self, forKey: .parameters),
            let path = try declaration.invalidField(in: fields)
        {
            throw UndeclaredField(path: path)
        }
        parameters = try ParametersEnvelope<Parameters>(from: decoder).parameters
    }
}

/// What an interface declares about the parameters of a method.
struct Declaration: Sendable {
    static let key = CodingUserInfoKey(rawValue: "io.sluice.varlink.declaration")
        // Never nil: this initializer succeeds for every string.
        .unsafelyUnwrapped

    let interface: InterfaceDescription
    let fields: [VarlinkField]

    /// Does the same as `InterfaceDescription.invalidField`, but makes a `JSONValue` only of fields that must be
    /// examined.
    func invalidField(in container: KeyedDecodingContainer<FieldName>) throws -> String? {
        for name in container.allKeys.sorted(by: { $0.stringValue < $1.stringValue }) {
            guard let field = fields.first(where: { $0.name == name.stringValue }) else {
                return name.stringValue
            }
            guard !field.type.isLeaf else { continue }
            let value = try container.decode(JSONValue.self, forKey: name)
            if let path = interface.invalidField(in: .object([field.name: value]), declared: [field]) {
                return path
            }
        }
        return nil
    }
}

/// The dotted path of a field that the interface does not declare, or that must be a whole number and is not.
struct UndeclaredField: Error {
    let path: String
}

/// Parameters without fields, for methods that have none in their calls or replies.
public struct NoParameters: Codable, Sendable, Equatable {
    /// `{}`
    public init() {}
}

enum MessageCoding {
    /// The JSON of a value.
    ///
    /// - Throws: `EncodingError`, for instance for a number that is not finite.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        // Sorted, so that equal values give equal bytes and users can compare logs.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(value))
    }

    /// The bytes of a message, with the NUL at the end. JSON has no raw NUL: strings must escape it (RFC 8259 §7).
    ///
    /// - Throws: as `encode`.
    static func message(_ envelope: some Encodable) throws -> [UInt8] {
        try encode(envelope) + [0]
    }

    /// The bytes of an error reply.
    static func message(error: some VarlinkErrorProtocol) -> [UInt8] {
        let whole = try? message(ReplyEnvelope(parameters: error.errorParameters, error: error.errorName))
        // Encoding fails only for a number that is not finite. The reply then carries the name of the error alone.
        let name = ReplyEnvelope(parameters: NoParameters(), error: error.errorName)
        return whole ?? (try? message(name)) ?? [0]
    }

    /// Decodes bytes that have passed `MessageScan`.
    ///
    /// - Throws: `DecodingError`.
    static func decode<Envelope: Decodable>(
        _ type: Envelope.Type, from bytes: [UInt8], declaration: Declaration? = nil
    ) throws -> Envelope {
        let decoder = JSONDecoder()
        if let declaration { decoder.userInfo[Declaration.key] = declaration }
        return try decoder.decode(type, from: Data(bytes))
    }

    /// Where a message could not be decoded: the dotted path of the field, without the envelope's `parameters`.
    ///
    /// - Returns: nil for an error without a path: the text is not JSON.
    static func path(of error: DecodingError) -> String? {
        let keys: [any CodingKey]
        switch error {
        case .keyNotFound(let key, let context): keys = context.codingPath + [key]
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            keys = context.codingPath
        @unknown default: return nil
        }
        guard let first = keys.first else { return nil }
        let inside = first.stringValue == "parameters" && keys.count > 1 ? keys.dropFirst() : keys[...]
        return inside.map { $0.intValue.map { String($0) } ?? $0.stringValue }.joined(separator: ".")
    }
}

extension JSONValue {
    /// For messages that users read.
    var text: String {
        (try? MessageCoding.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
