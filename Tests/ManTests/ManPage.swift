import TestKit

/// A page of the manual, as far as the tests look into it: the items of its lists, each with where it stands.
///
/// It reads the mdoc(7) source, and knows what the pages here use. A list inside of a list it does not.
struct ManPage {
    /// An `.It` and all up to the next one.
    struct Item {
        /// The titles of the section and the subsection it is in; the latter may be empty.
        var section: String
        var subsection: String
        /// The line of text before its list.
        var label: String
        /// What stands in the line of the `.It`, macros and all.
        var head: [String]
        /// The lines after it.
        var body: [String]

        /// The body as words: lines of text, and the arguments of macros.
        var text: String { ManPage.plain(body) }
    }

    /// Without the directory.
    let name: String
    /// Of the whole page, comments left out.
    let lines: [String]
    /// In their order.
    let items: [Item]

    /// - Parameter name: with its section, `sluicectl.1`.
    init(_ name: String) throws {
        let source = try readText("\(Repository.path)/man/\(name)")
        self.name = name
        lines = source.split(separator: "\n").filter { !$0.hasPrefix(".\\\"") }.map(String.init)
        items = Self.items(lines)
    }

    /// The items of a section, in all its subsections or in one.
    func items(in section: String, _ subsection: String? = nil) -> [Item] {
        items.filter { $0.section == section && (subsection == nil || $0.subsection == subsection) }
    }

    /// The titles of a section's subsections.
    func subsections(of section: String) -> [String] {
        var titles: [String] = []
        var current = ""
        for line in lines {
            if let title = Self.argument(of: "Sh", line) { current = title }
            if current == section, let title = Self.argument(of: "Ss", line) { titles.append(title) }
        }
        return titles
    }

    /// The lines of a section.
    func section(_ title: String) -> [String] {
        var current = ""
        return lines.filter { line in
            if let title = Self.argument(of: "Sh", line) { current = title }
            return current == title
        }
    }

    // MARK: Inside

    private static func items(_ lines: [String]) -> [Item] {
        var items: [Item] = []
        var section = ""
        var subsection = ""
        var label = ""
        var inList = false
        for line in lines {
            if let title = argument(of: "Sh", line) {
                (section, subsection, label) = (title, "", "")
            } else if let title = argument(of: "Ss", line) {
                (subsection, label) = (title, "")
            } else if line.hasPrefix(".Bl ") {
                inList = true
            } else if line == ".El" {
                inList = false
            } else if inList, let head = argument(of: "It", line) {
                items.append(
                    Item(
                        section: section, subsection: subsection, label: label, head: tokens(head), body: []))
            } else if inList, !items.isEmpty {
                items[items.count - 1].body.append(line)
            } else if !line.hasPrefix(".") {
                label = line
            }
        }
        return items
    }

    private static func argument(of macro: String, _ line: String) -> String? {
        guard line.hasPrefix(".\(macro) ") else { return nil }
        return unescape(String(line.dropFirst(macro.count + 2)))
    }

    /// Words; those in double quotes may have spaces.
    static func tokens(_ text: String) -> [String] {
        var tokens: [String] = []
        var current = ""
        var isQuoted = false
        for character in text {
            switch character {
            case "\"":
                isQuoted.toggle()
                if !isQuoted { tokens.append(current) }
                current = ""
            case " " where !isQuoted:
                if !current.isEmpty { tokens.append(current) }
                current = ""
            default: current.append(character)
            }
        }
        if !current.isEmpty { tokens.append(current) }
        return tokens
    }

    /// What the pages write for characters that roff would take for something else.
    static func unescape(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        let names = [
            ("\\(dq", "\""), ("\\(aq", "'"), ("\\(rB", "]"), ("\\-", "-"), ("\\&", ""), ("\\e", "\\"),
        ]
        while let first = rest.first {
            if first == "\\", let (name, meaning) = names.first(where: { rest.hasPrefix($0.0) }) {
                result += meaning
                rest = rest.dropFirst(name.count)
            } else {
                result.append(first)
                rest = rest.dropFirst()
            }
        }
        return result
    }

    static func plain(_ lines: [String]) -> String {
        lines.compactMap { line in
            guard line.hasPrefix(".") else { return unescape(line) }
            return line.firstIndex(of: " ").map { unescape(String(line[$0...].dropFirst())) }
        }.joined(separator: " ")
    }
}

/// Where the sources are.
enum Repository {
    static let path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
}
