/// A piece of the progress line.
struct Part {
    var text: String
    /// The part with the lowest weight is left out first.
    var weight: Int
    /// The text between this piece and the piece before it.
    var joins = "  "

    init(_ text: String, weight: Int, joins: String = "  ") {
        self.text = text
        self.weight = weight
        self.joins = joins
    }
}

/// A bar that grows with a fraction.
struct Bar {
    /// Minimum useful width.
    static let shortest = 10
    /// Maximum useful width.
    static let longest = 40
    private static let eighths: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"]

    /// From 0 to 1.
    var fraction: Double
    var isUnicode: Bool

    /// The bar with its frame, `width` characters in all.
    func drawn(_ width: Int) -> String {
        let inside = max(1, width - 2)
        let filled = isUnicode ? blocks(inside) : dashes(inside)
        return "[" + filled + String(repeating: " ", count: inside - filled.count) + "]"
    }

    private func blocks(_ inside: Int) -> String {
        let eighths = Int((fraction * Double(inside * 8)).rounded(.down))
        let rest = eighths % 8
        return String(repeating: "█", count: eighths / 8) + (rest > 0 ? String(Self.eighths[rest - 1]) : "")
    }

    private func dashes(_ inside: Int) -> String {
        let count = Int((fraction * Double(inside)).rounded(.down))
        guard count > 0 else { return "" }
        return String(repeating: "=", count: count - 1) + (fraction < 1 ? ">" : "=")
    }
}

extension ProgressMeter {
    /// The parts that fit, with the bar after the first one where there is enough room.
    static func fitted(_ parts: [Part], bar: Bar?, _ width: Int) -> String {
        var parts = parts
        while joined(parts).count > width, parts.count > 1,
            let lightest = parts.indices.min(by: { parts[$0].weight < parts[$1].weight })
        {
            parts.remove(at: lightest)
        }
        let room = min(Bar.longest, width - joined(parts).count - 1)
        if let bar, parts.count > 1, room >= Bar.shortest {
            parts.insert(Part(bar.drawn(room), weight: 0, joins: " "), at: 1)
        }
        return String(joined(parts).prefix(max(0, width)))
    }

    static func fitted(_ texts: [String], _ width: Int) -> String {
        String(texts.joined(separator: "  ").prefix(max(0, width)))
    }

    private static func joined(_ parts: [Part]) -> String {
        var line = ""
        for part in parts { line += line.isEmpty ? part.text : part.joins + part.text }
        return line
    }
}
