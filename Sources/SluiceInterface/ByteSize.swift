/// Sizes as users write them: `262144`, `256K`, `1M`, `2G`. The letters are powers of 1024, in either case.
public enum ByteSize {
    /// The number of bytes; nil where the text is not such a size, or does not fit.
    public static func parse(_ text: some StringProtocol) -> Int? {
        let shift: Int
        var digits = text[...]
        switch text.last {
        case "K", "k": shift = 10
        case "M", "m": shift = 20
        case "G", "g": shift = 30
        case "T", "t": shift = 40
        default: shift = 0
        }
        if shift > 0 { digits = digits.dropLast() }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(digits)
        else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : bytes
    }

    /// A size for a line of text: `1.4 GB`, `12 kB`, `0 B`: three figures at most, powers of 1000.
    public static func describe(_ bytes: Int) -> String {
        let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        if unit == 0 || value >= 99.95 { return "\(Int(value.rounded())) \(units[unit])" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
