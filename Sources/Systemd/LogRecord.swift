internal import Logging

/// One event to be logged, with its fields named and sorted. The journal entry and the line of text are made from it.
struct LogRecord {
    let level: Logger.Level
    let message: String
    /// From the metadata, sorted by name; at most `mostFields`.
    let fields: [JournalField]
    let location: [JournalField]

    /// Maximum number of fields from the metadata; journald refuses an entry with more than 1,024 in total.
    static let mostFields = 64

    init(_ event: LogEvent, inherited: Logger.Metadata) {
        level = event.level
        var metadata = inherited
        if let own = event.metadata { metadata.merge(own) { $1 } }
        // swift-log does this with an error where a handler does not know about errors.
        if let error = event.error, metadata["ERROR"] == nil { metadata["error"] = "\(error)" }
        message = event.message.description
        fields = Array(
            metadata.sorted { $0.key < $1.key }.compactMap { key, value in
                JournalField.name(forMetadataKey: key).map { JournalField($0, value.description) }
            }.prefix(Self.mostFields))
        location = [
            JournalField("CODE_FILE", event.file),
            JournalField("CODE_LINE", String(event.line)),
            JournalField("CODE_FUNC", event.function),
        ]
    }

    /// A record of the handler itself, without a place in the source.
    init(level: Logger.Level, message: String, fields: [JournalField]) {
        self.level = level
        self.message = message
        self.fields = fields
        location = []
    }

    /// The whole entry, in the order in which it is sent.
    func journalFields(identifier: String) -> [JournalField] {
        [
            JournalField("MESSAGE", text),
            JournalField("PRIORITY", String(priority)),
            JournalField("SYSLOG_IDENTIFIER", identifier),
        ] + location + fields
    }

    /// The message followed by its metadata: `job complete job=17 bytes=42`. Messages are constant, so without the
    /// metadata a plain `journalctl -u sluiced` would be a list of equal lines.
    var text: String {
        var text = message
        for field in fields where field.name != "MESSAGE_ID" {
            let name = field.name.hasPrefix("SLUICE_") ? String(field.name.dropFirst(7)) : field.name
            text += " \(name.lowercased())=\(Self.quoted(field.value))"
        }
        return text
    }

    /// One line for standard error, whatever the values contain.
    ///
    /// - Parameter withPriority: whether the line begins with `<N>`, which the service manager takes for the priority
    ///   (`sd-daemon(3)`). Otherwise it begins with the level's name, where that is worth showing.
    func line(identifier: String, withPriority: Bool) -> String {
        let start = withPriority ? "<\(priority)>" : "\(identifier): \(levelWord)"
        return start + Self.escaped(text) + "\n"
    }

    /// The level as syslog knows it (`syslog(3)`): trace and debug → 7 (debug), info → 6, notice → 5, warning → 4,
    /// error → 3 (err), critical → 2 (crit). 0 and 1 are reserved for the system.
    var priority: Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    private var levelWord: String {
        switch level {
        case .trace, .debug, .warning, .error, .critical: "\(level.rawValue): "
        case .info, .notice: ""
        }
    }

    /// The value as it is where it is one plain word, else in quotes.
    private static func quoted(_ value: String) -> String {
        let isWord = value.unicodeScalars.allSatisfy { scalar in
            scalar != " " && scalar != "\"" && scalar != "=" && !isControl(scalar)
        }
        if isWord, !value.isEmpty { return value }
        var quoted = "\""
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(scalar)
        }
        return escaped(quoted) + "\""
    }

    /// Makes control characters visible. A value may come from a client, and must neither forge a second line nor
    /// control a terminal; and journalctl shows a message with control characters as `blob data`.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var safe = ""
        for scalar in text.unicodeScalars {
            if isControl(scalar) {
                safe += scalar == "\n" ? "\\n" : "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                safe.unicodeScalars.append(scalar)
            }
        }
        return safe
    }

    /// Whether this is a control character. Unicode does not count its line separators among them; this function
    /// does.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}"
    }
}
