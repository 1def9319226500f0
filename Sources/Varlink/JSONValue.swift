internal import FoundationEssentials

/// Any JSON value: what the interface description calls `object`, and the parameters of an error.
///
/// A number without a fraction that fits into 64 bits is an `integer`, every other number a `double`.
public enum JSONValue: Sendable, Equatable {
    /// `null`.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A whole number.
    case integer(Int64)
    /// Any other number.
    case double(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object; the order of its fields means nothing.
    case object([String: JSONValue])

    /// The field of an object; nil where there is none or this is no object.
    public subscript(field: String) -> JSONValue? {
        guard case .object(let fields) = self else { return nil }
        return fields[field]
    }

    /// The string, where this is one.
    public var stringValue: String? {
        guard case .string(let string) = self else { return nil }
        return string
    }

    /// The whole number, where this is one.
    public var integerValue: Int64? {
        guard case .integer(let integer) = self else { return nil }
        return integer
    }

    /// Decodes a typed value out of this one.
    ///
    /// - Throws: `DecodingError`.
    public func decode<Value: Decodable>(as type: Value.Type) throws -> Value {
        // Wrapped in an array, since some coders refuse a bare string or number as a JSON text.
        let data = try JSONEncoder().encode([self])
        return try JSONDecoder().decode(One<Value>.self, from: data).value
    }

    private struct One<Value: Decodable>: Decodable {
        let value: Value
        init(from decoder: any Decoder) throws {
            var container = try decoder.unkeyedContainer()
            value = try container.decode(Value.self)
        }
    }
}

extension JSONValue: Codable {
    /// Decodes any JSON value.
    public init(from decoder: any Decoder) throws {
        // Frequent types come first: each wrong guess costs an error that is made and dropped.
        let scalar = try decoder.singleValueContainer()
        if let string = try? scalar.decode(String.self) {
            self = .string(string)
        } else if let fields = try? decoder.container(keyedBy: FieldName.self) {
            var object: [String: JSONValue] = [:]
            for name in fields.allKeys {
                object[name.stringValue] = try fields.decode(JSONValue.self, forKey: name)
            }
            self = .object(object)
        } else if scalar.decodeNil() {
            self = .null
        } else if let integer = try? scalar.decode(Int64.self) {
            self = .integer(integer)
        } else if let bool = try? scalar.decode(Bool.self) {
            self = .bool(bool)
        } else if var elements = try? decoder.unkeyedContainer() {
            var array: [JSONValue] = []
            while !elements.isAtEnd { array.append(try elements.decode(JSONValue.self)) }
            self = .array(array)
        } else {
            self = .double(try scalar.decode(Double.self))
        }
    }

    /// Writes the value as itself.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let bool): try container.encode(bool)
        case .integer(let integer): try container.encode(integer)
        case .double(let double): try container.encode(double)
        case .string(let string): try container.encode(string)
        case .array(let array): try container.encode(array)
        case .object(let object): try container.encode(object)
        }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    /// `"text"`
    public init(stringLiteral value: String) { self = .string(value) }
    /// `1`
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// `true`
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// `1.5`
    public init(floatLiteral value: Double) { self = .double(value) }
    /// `nil`
    public init(nilLiteral: ()) { self = .null }
    /// `[1, "two"]`
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// `["field": 1]`; where a field is named twice, the last one counts.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
}

/// Any name.
struct FieldName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}
