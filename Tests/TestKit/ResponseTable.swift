/// Raw responses, and the expected result of each: `Tests/Responses/responses.txt`, whose head explains the notation.
public struct ResponseTable: Sendable {
    /// What a server does with one request.
    public struct Answer: Sendable {
        /// The request targets that are accepted, `*` for any. Case does not count: `%c3` equals `%C3`.
        public var targets: [String]
        /// What the server does, in order.
        public var steps: [Step] = []
    }

    /// One thing that a server does.
    public enum Step: Sendable {
        /// Sends bytes. The bytes of consecutive steps are one write.
        case send(EscapedBytes)
        /// Waits a little, so that the next bytes arrive in another segment.
        case pause
        /// Closes the connection; under TLS with close_notify.
        case close
        /// Resets the connection; under TLS it is closed without close_notify.
        case reset
    }

    /// The expected result of curl for the same bytes.
    public enum Oracle: Sendable {
        /// Success, and the same body.
        case same
        /// A failure, as with Sluice.
        case fails
        /// Another result, for this reason.
        case differs(String)
    }

    /// What the consumer must have received.
    public enum Body: Sendable {
        /// Exactly these bytes.
        case exactly([UInt8])
        /// These bytes, or a prefix of them: how much arrives before the failure depends on the network.
        case prefix([UInt8])
    }

    /// One response, or several that belong together.
    public struct Entry: Sendable {
        /// Its unique name in the results.
        public var name: String
        /// The answers, in the order of the requests.
        public var answers: [Answer] = []
        /// Whether the last answer is repeated.
        public var repeats = false
        /// The accepted outcome codes: one, except where the network decides.
        public var outcomes: [String] = []
        /// The job's HTTP status; nil for none.
        public var status: Int?
        /// Whether the status is checked; false where the entry leaves it open.
        public var checksStatus = true
        /// What the consumer must have received.
        public var body = Body.exactly([])
        /// Parts of the outcome's message.
        public var says: [String] = []
        /// The job's `contentEncoding`; `*` for any.
        public var coding: String?
        /// The expected result of curl.
        public var oracle = Oracle.same
        /// How it is sent: `http`, `tls`.
        public var wires: [String] = ["http"]
    }

    /// The entries, in the order of the file.
    public let entries: [Entry]

    /// Reads the table of the project.
    public init() throws {
        try self.init(try readText(Sources.path("Tests/Responses/responses.txt")))
    }

    /// Reads a table.
    ///
    /// - Throws: `TestFailure` with the line that is wrong.
    public init(_ text: String) throws {
        var reader = ResponseTableReader()
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            do {
                try reader.read(line)
            } catch {
                throw TestFailure("responses.txt:\(index + 1): \(error)")
            }
        }
        entries = try reader.finish()
    }
}

/// Reads a table line by line.
private struct ResponseTableReader {
    private var entries: [ResponseTable.Entry] = []
    private var names: Set<String> = []
    private var entry: ResponseTable.Entry?
    private var hasOracle = false

    mutating func read(_ line: Substring) throws {
        guard !line.hasSuffix(" "), !line.hasSuffix("\t") else {
            throw TestFailure("blanks at the end: write \\x20 or \\t")
        }
        if line.isEmpty || line == "#" || line.hasPrefix("# ") { return }
        let parts = line.split(separator: " ", maxSplits: 1)
        let rest = parts.count == 2 ? parts[1] : ""
        if parts[0] == "##" {
            try close()
            guard names.insert(String(rest)).inserted else { throw TestFailure("the name is taken") }
            entry = ResponseTable.Entry(name: String(rest))
            return
        }
        try change { entry, hasOracle in
            switch parts[0] {
            case ">":
                let targets = rest.split(separator: " ").filter { $0 != "or" }.map(String.init)
                guard !targets.isEmpty else { throw TestFailure("no target") }
                entry.answers.append(ResponseTable.Answer(targets: targets))
            case "|":
                if entry.answers.isEmpty { entry.answers.append(ResponseTable.Answer(targets: ["/"])) }
                let bytes = try EscapedBytes(line.dropFirst(2))
                entry.answers[entry.answers.count - 1].steps.append(.send(bytes))
            case "!": try Self.action(rest, &entry)
            case "=": try Self.expectation(rest, &entry)
            case "says": entry.says.append(String(rest))
            case "coding": entry.coding = String(rest)
            case "over": entry.wires = rest.split(separator: " ").map(String.init)
            case "curl":
                entry.oracle = try Self.oracle(rest)
                hasOracle = true
            default: throw TestFailure("what is \(parts[0])?")
            }
        }
    }

    mutating func finish() throws -> [ResponseTable.Entry] {
        try close()
        return entries
    }

    private mutating func change(_ body: (inout ResponseTable.Entry, inout Bool) throws -> Void) throws {
        guard var changed = entry else { throw TestFailure("no entry has begun") }
        try body(&changed, &hasOracle)
        entry = changed
    }

    private mutating func close() throws {
        guard let entry else { return }
        guard !entry.answers.isEmpty, !entry.outcomes.isEmpty, hasOracle else {
            throw TestFailure("\(entry.name) lacks an answer, a result or what curl does")
        }
        entries.append(entry)
        self.entry = nil
        hasOracle = false
    }

    private static func action(_ word: Substring, _ entry: inout ResponseTable.Entry) throws {
        if entry.answers.isEmpty { entry.answers.append(ResponseTable.Answer(targets: ["/"])) }
        let last = entry.answers.count - 1
        switch word {
        case "pause": entry.answers[last].steps.append(.pause)
        case "close": entry.answers[last].steps.append(.close)
        case "reset": entry.answers[last].steps.append(.reset)
        case "again": entry.repeats = true
        default: throw TestFailure("there is no action \(word)")
        }
    }

    /// `complete 200 "body"`, `truncated|connectionLost - prefix "body"`.
    private static func expectation(_ text: Substring, _ entry: inout ResponseTable.Entry) throws {
        let parts = text.split(separator: " ", maxSplits: 2)
        guard parts.count == 3 else { throw TestFailure("a result is: OUTCOME STATUS \"BODY\"") }
        entry.outcomes = parts[0].split(separator: "|").map(String.init)
        entry.checksStatus = parts[1] != "*"
        entry.status = Int(parts[1])
        guard entry.status != nil || ["*", "-"].contains(parts[1]) else {
            throw TestFailure("\(parts[1]) is no status")
        }
        var body = parts[2]
        let isPrefix = body.hasPrefix("prefix ")
        if isPrefix { body = body.dropFirst(7) }
        guard body.count >= 2, body.hasPrefix("\""), body.hasSuffix("\"") else {
            throw TestFailure("a body stands in quotation marks")
        }
        let bytes = try EscapedBytes(body.dropFirst().dropLast()).bytes()
        entry.body = isPrefix ? .prefix(bytes) : .exactly(bytes)
    }

    private static func oracle(_ text: Substring) throws -> ResponseTable.Oracle {
        switch text {
        case "same": return .same
        case "fails": return .fails
        case _ where text.hasPrefix("differs: "): return .differs(String(text.dropFirst(9)))
        default: throw TestFailure("curl: same, fails, or differs: REASON")
        }
    }
}
