import SluiceCore
import SluiceDaemon
import SluiceInterface
import TestKit
import Testing

/// sluiced.toml(5) describes what the program does with each key.
@Suite("sluiced.toml(5)") struct SettingsManualTests {
    /// A setting, as the manual describes it.
    private struct Entry {
        var section: String
        var key: String
        /// The word for its type.
        var type: String
        var defaultValue: String
        /// The text after "Range: ".
        var range: String?
        var needsStart: Bool
        /// The text of the sentence that says when a change takes effect.
        var effect: String

        var name: String { "\(section).\(key)" }

        /// Whether its value is a list in brackets.
        var isList: Bool { ["statuses", "names", "networks", "hosts", "tables"].contains(type) }

        /// A value in TOML's notation.
        func toml(_ value: String) -> String {
            if type == "networks" || type == "hosts", value.hasPrefix("[") {
                let entries = value.dropFirst().dropLast().split(separator: ",")
                return
                    "[\(entries.map { $0.hasPrefix("\"") ? "\($0)" : "\"\($0)\"" }.joined(separator: ", "))]"
            }
            return type == "text" || value.last?.isLetter == true ? "\"\(value)\"" : value
        }
    }

    private let entries: [Entry]
    private let shipped: [String]

    init() throws {
        entries = try ManPage("sluiced.toml.5").items.compactMap(Self.entry)
        shipped = try readText("\(Repository.path)/config/sluiced.toml").split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
    }

    private static func entry(_ item: ManPage.Item) throws -> Entry? {
        guard item.subsection.hasPrefix("[") else { return nil }
        // .It Ic key No = Ar type
        try #require(item.head.count == 6 && item.head[0] == "Ic" && item.head[3] == "=", "\(item.head)")
        func fact(_ name: String) -> String? {
            item.body.first { $0.hasPrefix(name) }.map {
                let text = ManPage.unescape(String($0.dropFirst(name.count)))
                return text.hasSuffix(".") ? String(text.dropLast()) : text
            }
        }
        let effect = try #require(fact("Takes effect at a "), "\(item.head[1])")
        return Entry(
            section: String(item.subsection.dropFirst().dropLast()), key: item.head[1], type: item.head[5],
            defaultValue: try #require(fact("Default: "), "\(item.head[1])").filter {
                $0 != "\"" && $0 != " "
            },
            range: fact("Range: "), needsStart: effect.hasPrefix("start"), effect: effect)
    }

    @Test("has the keys and defaults of the shipped file, in the same order")
    func hasKeysOfShippedFile() {
        var section = ""
        var expected: [String] = []
        for line in shipped {
            if line.hasPrefix("[") { section = String(line.dropFirst().dropLast()) }
            guard line.hasPrefix("#"), let equals = line.firstIndex(of: "="), !line.hasPrefix("# ") else {
                continue
            }
            let key = line[..<equals].dropFirst().filter { $0 != " " }
            expected.append(
                "\(section).\(key) = \(line[line.index(after: equals)...].filter { $0 != " " && $0 != "\"" })"
            )
        }
        #expect(expected.count > 20)
        #expect(entries.map { "\($0.name) = \($0.defaultValue)" } == expected)
    }

    @Test("has the program's defaults, each of the documented type")
    func hasDefaultsOfProgram() throws {
        var text = ""
        var section = ""
        for entry in entries {
            if entry.section != section { text += "[\(entry.section)]\n" }
            section = entry.section
            text += "\(entry.key) = \(entry.toml(entry.defaultValue))\n"
        }
        #expect(try SettingsFile.parse(text, path: "manual") == Settings())
    }

    /// Whether the program refuses this value of this key, with an error that begins with `complaint`.
    private func refuses(_ entry: Entry, _ value: String, as complaint: String = "") -> Bool {
        do {
            _ = try SettingsFile.parse("[\(entry.section)]\n\(entry.key) = \(value)\n", path: "manual")
            return false
        } catch {
            return error.problems.contains { $0.hasPrefix("\(entry.name): \(complaint)") }
        }
    }

    @Test("documents the types that the program accepts, and no others")
    func documentsAcceptedTypes() throws {
        for entry in entries {
            func isWrong(_ value: String) -> Bool { refuses(entry, value, as: "it is not") }
            #expect(isWrong("true"), "\(entry.name)")
            #expect(isWrong("1") == (entry.type == "text" || entry.isList), "\(entry.name)")
            switch entry.type {
            case "number": #expect(isWrong("1.5") && isWrong("\"1K\""), "\(entry.name)")
            case "size": #expect(isWrong("1.5") && !isWrong("\"1M\""), "\(entry.name)")
            case "seconds", "share": #expect(!isWrong("0.5") && isWrong("\"1\""), "\(entry.name)")
            case "statuses": #expect(isWrong("[\"1\"]") && !isWrong("[1]"), "\(entry.name)")
            case "names": #expect(isWrong("[1]") && !isWrong("[\"1\"]"), "\(entry.name)")
            case "networks", "hosts": #expect(isWrong("[1]") && !isWrong("[\"any\"]"), "\(entry.name)")
            case "tables": #expect(isWrong("[]") && !isWrong("{ a = {} }"), "\(entry.name)")
            case "text": break
            default: Issue.record("\(entry.name): no type \(entry.type)")
            }
        }
    }

    /// A bound: a number, or the default of another setting.
    private func bound(_ text: Substring, of entry: Entry) throws -> Double {
        var text = text
        var below = 0.0
        if text.hasPrefix("less than ") {
            text = text.dropFirst("less than ".count)
            below = 1
        }
        if let other = entries.first(where: { $0.name == text }) { text = other.defaultValue[...] }
        if let number = Double(text) { return number - below }
        return Double(try #require(ByteSize.parse(text), "\(entry.name): \(text)")) - below
    }

    private func spell(_ value: Double, _ entry: Entry) -> String {
        switch entry.type {
        case "seconds", "share": "\(value)"
        case "statuses": "[\(Int(value))]"
        default: "\(Int(value))"
        }
    }

    @Test("documents the program's ranges: their ends are accepted, and values beyond them are refused")
    func documentsAcceptedRanges() throws {
        for entry in entries where !["text", "names", "networks", "hosts", "tables"].contains(entry.type) {
            var range = try #require(entry.range, "\(entry.name)")[...]
            let step = ["seconds", "share"].contains(entry.type) ? 0.0005 : 1
            if range.hasPrefix("0, or ") {
                range = range.dropFirst("0, or ".count)
                #expect(!refuses(entry, "0"), "\(entry.name)")
            }
            if range == "0 or more" {
                #expect(!refuses(entry, "0") && refuses(entry, "-1") && !refuses(entry, "\(Int.max)"))
                continue
            }
            let ends = range.split(separator: " ", maxSplits: 2)
            try #require(ends.count == 3 && ends[1] == "to", "\(entry.name): \(range)")
            let low = try bound(ends[0], of: entry)
            let high = try bound(ends[2], of: entry)
            #expect(!refuses(entry, spell(low, entry)), "\(entry.name) = \(low)")
            #expect(!refuses(entry, spell(high, entry)), "\(entry.name) = \(high)")
            #expect(refuses(entry, spell(high + step, entry)), "\(entry.name) = \(high + step)")
            if low - step != 0 || entry.range?.hasPrefix("0, or ") != true {
                #expect(refuses(entry, spell(low - step, entry)), "\(entry.name) = \(low - step)")
            }
        }
    }

    @Test("the comments of the shipped file name the same ranges")
    func shippedCommentsNameSameRanges() throws {
        for entry in entries {
            guard let range = entry.range else { continue }
            let words = try comment(on: entry).filter { $0 != "(" && $0 != ")" }
            // "0 to lanes.maximum" is "0 to maximum" there.
            let ends = range.split { " ,".contains($0) }.map {
                $0.hasPrefix("\(entry.section).") ? String($0.dropFirst(entry.section.count + 1)) : String($0)
            }
            for end in ends where end.first?.isNumber == true || end.contains("_") {
                #expect(words.contains(end), "\(entry.name): no \(end) in \(words)")
            }
        }
    }

    /// The words of the comment above a key. Adjacent keys share one comment.
    private func comment(on entry: Entry) throws -> [String] {
        let line = try #require(
            shipped.indices.first { index in
                shipped[index].hasPrefix("#\(entry.key) =")
                    && shipped[..<index].last { $0.hasPrefix("[") } == "[\(entry.section)]"
            })
        let section = try #require(shipped[..<line].lastIndex { $0.hasPrefix("[") })
        // The comment of a section may apply to all of its keys.
        return shipped[section..<line].flatMap { text in
            text.split { " ,:;()".contains($0) }.map { String($0.hasSuffix(".") ? $0.dropLast() : $0) }
        }
    }

    @Test("states for each setting whether a change needs a restart, as in the program")
    func statesWhichSettingsNeedRestart() throws {
        for entry in entries {
            let candidates =
                switch entry.key {
                case "level": ["debug"]
                case "socket": ["/elsewhere"]
                case "grown_capacity": ["65536"]
                case "holding_share": ["0.25"]
                case "statuses": ["[503]"]
                case "credential_fields": ["[\"x-a\"]"]
                case "allow_networks", "deny_networks", "allow_hosts", "deny_hosts": ["[\"any\"]"]
                case "users", "groups": ["{ a = {} }"]
                case "access": ["deny"]
                case "nursery": ["never"]
                default: ["2", "3", "2000", "50000", "2000000"]
                }
            let changed = candidates.compactMap { value in
                try? SettingsFile.parse(
                    "[\(entry.section)]\n\(entry.key) = \(entry.toml(value))", path: "manual")
            }.first { $0 != Settings() }
            let names = Settings().needingRestart(comparedTo: try #require(changed, "\(entry.name)"))
            #expect(names.contains(entry.name) == entry.needsStart, "\(entry.name): \(entry.effect)")
        }
    }
}
