import TestKit

/// The parts of a manual page that the tests need: the items of its lists, each with its place.
///
/// It reads the mdoc(7) source, and knows the macros that these pages use. It does not support a list inside a list.
struct ManPage {
    /// An `.It` and all lines up to the next one.
    struct Item {
        /// The titles of its section and subsection; the latter may be empty.
        var section: String
        var subsection: String
        /// The line of text before its list.
        var label: String
        /// The text of the `.It` line, with its macros.
        var head: [String]
        /// The lines after it.
        var body: [String]

        /// The body as words: lines of text, and the arguments of macros.
        var text: String { ManPage.plain(body) }
    }

    /// The file name, without the directory.
    let name: String
    /// The lines of the whole page, without comments.
    let lines: [String]
    /// The items, in order.
    let items: [Item]

    /// - Parameter name: the name with its section, such as `sluicectl.1`.
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

    // MARK: Parsing

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

    /// Splits a line into words. Words in double quotes may contain spaces.
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

    /// Replaces the escapes that the pages use for characters that roff would treat specially.
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

/// The location of the sources.
enum Repository {
    static let path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
}
