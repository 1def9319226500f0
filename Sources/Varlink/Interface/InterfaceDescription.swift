/// A type of the interface definition language (varlink.org, "Interface Definition").
public indirect enum VarlinkType: Sendable, Equatable {
    /// `bool`
    case bool
    /// `int`
    case int
    /// `float`
    case float
    /// `string`
    case string
    /// `object`: any JSON value.
    case object
    /// A type that the interface declares.
    case named(String)
    /// `(first: int, second: string)`
    case structure([VarlinkField])
    /// `(one, two, three)`; a value is sent as a string.
    case enumeration([String])
    /// `[]type`
    case array(VarlinkType)
    /// `[string]type`; `[string]()` is a set of strings.
    case dictionary(VarlinkType)
    /// `?type`: may be null or omitted.
    case optional(VarlinkType)

    /// Whether a decoder itself finds every possible error in a value of this type.
    var isLeaf: Bool {
        switch self {
        case .bool, .float, .string, .enumeration: true
        case .optional(let wrapped): wrapped.isLeaf
        case .int, .object, .named, .structure, .array, .dictionary: false
        }
    }
}

/// A field of a structure, of a method's parameters or replies, or of an error.
public struct VarlinkField: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// Its type.
    public var type: VarlinkType
}

/// A method as an interface declares it.
public struct VarlinkMethod: Sendable, Equatable {
    /// The name without the interface's name.
    public var name: String
    /// The parameters of a call.
    public var parameters: [VarlinkField]
    /// The parameters of each reply.
    public var replies: [VarlinkField]
}

/// What is wrong with the text of an interface description, and where.
public struct InterfaceDescriptionError: Error, Equatable, CustomStringConvertible {
    /// The line, counted from 1.
    public var line: Int
    /// The sentence.
    public var reason: String

    /// `line 3: …`
    public var description: String { "line \(line): \(reason)" }
}

/// An interface: its text, as introspection shows it to clients, and what the text declares.
public struct InterfaceDescription: Sendable {
    /// The name in reverse-domain notation.
    public let name: String
    /// The text as it was given, with comments.
    public let text: String
    /// The declared types, by name: structures and enumerations.
    public let types: [String: VarlinkType]
    /// The declared methods, by name.
    public let methods: [String: VarlinkMethod]
    /// The declared errors, by name, with their fields.
    public let errors: [String: [VarlinkField]]

    /// Parses and checks a description.
    ///
    /// The parser accepts nothing beyond the language of varlink.org, so that every client's own parser accepts the
    /// text too. It does not know systemd's `any`, for example.
    ///
    /// - Throws: `InterfaceDescriptionError` for the first mistake: a syntax error, a name declared twice, or a type
    ///   that is not declared.
    public init(_ text: String) throws(InterfaceDescriptionError) {
        var parser = InterfaceParser(text)
        try parser.parse()
        self.text = text
        name = parser.name
        types = parser.types
        methods = parser.methods
        errors = parser.errors
    }

    /// The dotted path of the first field (in alphabetical order) that the description does not declare, or that must
    /// be a whole number and is not; nil where there is none.
    ///
    /// Other fields of a wrong type are ignored here: the decoder finds them and reports their paths. It does not do
    /// so for a number that is not whole.
    func invalidField(in value: JSONValue, declared fields: [VarlinkField]) -> String? {
        invalidField(in: value, as: .structure(fields), path: [])?.joined(separator: ".")
    }

    private func invalidField(in value: JSONValue, as type: VarlinkType, path: [String]) -> [String]? {
        switch (type, value) {
        case (.optional(let wrapped), _):
            return invalidField(in: value, as: wrapped, path: path)
        case (.named(let name), _):
            // The parser has verified that the type is declared. The recursion ends with the value, not with the
            // type.
            guard let type = types[name] else { return nil }
            return invalidField(in: value, as: type, path: path)
        case (.structure(let fields), .object(let object)):
            for (name, element) in object.sorted(by: { $0.key < $1.key }) {
                guard let field = fields.first(where: { $0.name == name }) else { return path + [name] }
                if let found = invalidField(in: element, as: field.type, path: path + [name]) {
                    return found
                }
            }
            return nil
        case (.dictionary(let element), .object(let object)):
            for (key, value) in object.sorted(by: { $0.key < $1.key }) {
                if let found = invalidField(in: value, as: element, path: path + [key]) { return found }
            }
            return nil
        case (.array(let element), .array(let array)):
            for (index, value) in array.enumerated() {
                if let found = invalidField(in: value, as: element, path: path + ["\(index)"]) {
                    return found
                }
            }
            return nil
        case (.int, .double):
            return path
        case (.bool, _), (.int, _), (.float, _), (.string, _), (.object, _), (.enumeration, _),
            (.structure, _), (.dictionary, _), (.array, _):
            return nil
        }
    }
}
