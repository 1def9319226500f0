/// A parser by recursive descent for interface descriptions (varlink.org, "Interface Definition").
///
/// It parses the program's own texts and never those of a peer, so the depth of its recursion needs no limit.
struct InterfaceParser {
    private(set) var name = ""
    private(set) var types: [String: VarlinkType] = [:]
    private(set) var methods: [String: VarlinkMethod] = [:]
    private(set) var errors: [String: [VarlinkField]] = [:]

    private var scanner: InterfaceScanner
    private var token = InterfaceToken(kind: .end, line: 1)
    /// The line of the token before `token`.
    private var lastLine = 0
    /// The types that were mentioned, each with the line of its first mention.
    private var mentioned: [String: Int] = [:]

    init(_ text: String) {
        scanner = InterfaceScanner(text)
    }

    mutating func parse() throws(InterfaceDescriptionError) {
        try advance()
        try expectWord("interface")
        name = try takeWord("the name of an interface", where: InterfaceName.isInterface)
        while token.kind != .end {
            guard token.line > lastLine else { throw mistake("a member has to begin on a line of its own") }
            try parseMember()
        }
        for (type, line) in mentioned.sorted(by: { $0.value < $1.value }) where types[type] == nil {
            throw InterfaceDescriptionError(line: line, reason: "the type “\(type)” is not declared")
        }
        if types.isEmpty, methods.isEmpty, errors.isEmpty { throw mistake("the interface declares nothing") }
    }

    private mutating func parseMember() throws(InterfaceDescriptionError) {
        let keyword = token
        try advance()
        let line = token.line
        let name = try takeWord("a name that begins with a capital letter", where: InterfaceName.isMember)
        if types[name] != nil || methods[name] != nil || errors[name] != nil {
            throw InterfaceDescriptionError(line: line, reason: "“\(name)” is declared twice")
        }
        switch keyword.kind {
        case .word("type"):
            types[name] = try parseStructureOrEnumeration()
        case .word("method"):
            let parameters = try parseStructure()
            try expectSign("->")
            methods[name] = VarlinkMethod(name: name, parameters: parameters, replies: try parseStructure())
        case .word("error"):
            errors[name] = try parseStructure()
        default:
            throw InterfaceDescriptionError(
                line: keyword.line,
                reason: "expected “type”, “method” or “error”, found \(keyword.description)")
        }
    }

    private mutating func parseStructure() throws(InterfaceDescriptionError) -> [VarlinkField] {
        let line = token.line
        guard case .structure(let fields) = try parseStructureOrEnumeration() else {
            throw InterfaceDescriptionError(
                line: line, reason: "expected fields with types, found an enumeration")
        }
        return fields
    }

    /// The token after the first name decides: with a colon this is a structure, without one an enumeration.
    private mutating func parseStructureOrEnumeration() throws(InterfaceDescriptionError) -> VarlinkType {
        try expectSign("(")
        var names: [String] = []
        var fields: [VarlinkField] = []
        if token.kind != .sign(")") {
            repeat {
                let line = token.line
                let name = try takeWord("the name of a field", where: InterfaceName.isField)
                if names.contains(name) {
                    throw InterfaceDescriptionError(line: line, reason: "the field “\(name)” is there twice")
                }
                names.append(name)
                if fields.count == names.count - 1, try skip(":") {
                    fields.append(VarlinkField(name: name, type: try parseType()))
                } else if !fields.isEmpty {
                    throw InterfaceDescriptionError(line: line, reason: "the field “\(name)” has no type")
                }
            } while try skip(",")
        }
        try expectSign(")")
        return fields.isEmpty && !names.isEmpty ? .enumeration(names) : .structure(fields)
    }

    private mutating func parseType() throws(InterfaceDescriptionError) -> VarlinkType {
        if try skip("?") {
            if token.kind == .sign("?") { throw mistake("“??” means the same as “?”") }
            return .optional(try parseType())
        }
        if try skip("[]") { return .array(try parseType()) }
        if try skip("[string]") { return .dictionary(try parseType()) }
        guard case .word(let word) = token.kind else { return try parseStructureOrEnumeration() }
        let line = token.line
        try advance()
        switch word {
        case "bool": return .bool
        case "int": return .int
        case "float": return .float
        case "string": return .string
        case "object": return .object
        default:
            guard InterfaceName.isMember(word) else {
                throw InterfaceDescriptionError(line: line, reason: "“\(word)” is no type")
            }
            mentioned[word] = mentioned[word] ?? line
            return .named(word)
        }
    }

    private mutating func advance() throws(InterfaceDescriptionError) {
        lastLine = token.line
        token = try scanner.next()
    }

    private mutating func skip(_ sign: String) throws(InterfaceDescriptionError) -> Bool {
        guard token.kind == .sign(sign) else { return false }
        try advance()
        return true
    }

    private mutating func expectSign(_ sign: String) throws(InterfaceDescriptionError) {
        guard try skip(sign) else { throw mistake("expected “\(sign)”, found \(token.description)") }
    }

    private mutating func expectWord(_ word: String) throws(InterfaceDescriptionError) {
        guard token.kind == .word(word) else {
            throw mistake("expected “\(word)”, found \(token.description)")
        }
        try advance()
    }

    private mutating func takeWord(
        _ what: String, where isRight: (String) -> Bool
    ) throws(InterfaceDescriptionError) -> String {
        guard case .word(let word) = token.kind, isRight(word) else {
            throw mistake("expected \(what), found \(token.description)")
        }
        try advance()
        return word
    }

    private func mistake(_ reason: String) -> InterfaceDescriptionError {
        InterfaceDescriptionError(line: token.line, reason: reason)
    }
}
