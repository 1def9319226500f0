internal import CUnix
internal import Glibc

/// What a terminal can show.
public struct Terminal: Sendable, Equatable {
    /// Columns.
    public var width: Int
    /// Lines.
    public var height: Int
    /// Whether it shows characters beyond ASCII.
    public var isUnicode: Bool

    /// A terminal of this size.
    public init(width: Int, height: Int = 24, isUnicode: Bool) {
        self.width = width
        self.height = height
        self.isUnicode = isUnicode
    }

    /// The terminal of a descriptor, with its present size; 80 columns and 24 lines where the size is not known.
    ///
    /// - Returns: nil where the descriptor is no terminal.
    public init?(_ descriptor: Int32, environment: [String: String]) {
        guard isatty(descriptor) == 1 else { return nil }
        let columns = Int(cunix_terminal_width(descriptor))
        let lines = Int(cunix_terminal_height(descriptor))
        self.init(
            width: columns > 0 ? columns : 80, height: lines > 0 ? lines : 24,
            isUnicode: Self.isUnicode(environment))
    }

    /// Whether the locale's characters are UTF-8, according to the variables in their order of precedence
    /// (`locale(7)`).
    public static func isUnicode(_ environment: [String: String]) -> Bool {
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            guard let value = environment[name], !value.isEmpty else { continue }
            let upper = value.uppercased()
            return upper.contains("UTF-8") || upper.contains("UTF8")
        }
        return false
    }

    /// The text with each control character, which could act on a terminal, replaced by `?`.
    ///
    /// Text from a service may contain text from an origin.
    public static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
            result.append(isControl || turnsDirection(scalar) ? "?" : scalar)
        }
        return String(result)
    }

    /// Whether this is a mark that makes a terminal show text in another order.
    private static func turnsDirection(_ scalar: Unicode.Scalar) -> Bool {
        (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }
}
