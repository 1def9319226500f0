public import SluiceCore

/// One setting with the value that is in force and the source of that value.
public struct SettingsEntry: Sendable, Equatable {
    /// The source of a value.
    public enum Source: Sendable, Equatable, CustomStringConvertible {
        /// No file sets it.
        case byDefault
        /// The settings file, or a drop-in, with this path.
        case file(String)
        /// This option of the command line.
        case option(String)

        /// The path or the option, or `default`.
        public var description: String {
            switch self {
            case .byDefault: "default"
            case .file(let path): path
            case .option(let name): name
            }
        }
    }

    /// The section, without brackets.
    public let section: String
    /// The key in the section.
    public let key: String
    /// The value in TOML.
    public var value: String
    /// The source of the value.
    public var source: Source

    /// A text as a TOML basic string.
    public static func show(_ text: String) -> String {
        var shown = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\": shown += "\\\(scalar)"
            case "\u{0}"..<" ", "\u{7F}":
                let digits = String(scalar.value, radix: 16)
                shown += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown + "\""
    }

    static func show(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }

    static func showSize(_ bytes: Int) -> String {
        for (shift, letter) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")]
        where bytes != 0 && bytes % (1 << shift) == 0 {
            return "\"\(bytes >> shift)\(letter)\""
        }
        return String(bytes)
    }
}

/// Settings with the source of each.
public struct LoadedSettings: Sendable {
    /// The settings.
    public var settings: Settings
    /// Each setting, in the order of the settings file that is shipped.
    public var entries: [SettingsEntry]

    /// A settings file with all values, each followed by a comment that names its source.
    public var text: String {
        var text = ""
        var section = ""
        for entry in entries {
            if entry.section != section {
                text += section.isEmpty ? "[\(entry.section)]\n" : "\n[\(entry.section)]\n"
                section = entry.section
            }
            text += "\(entry.key) = \(entry.value)  # \(entry.source)\n"
        }
        return text
    }

    /// Records that an option of the command line overrides the files.
    public mutating func override(_ section: String, _ key: String, with text: String, by option: String) {
        for index in entries.indices where entries[index].section == section && entries[index].key == key {
            entries[index].value = SettingsEntry.show(text)
            entries[index].source = .option(option)
        }
    }
}
