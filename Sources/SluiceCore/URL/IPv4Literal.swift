/// Whether a host is an IPv4 address, in any of the forms that programs accept.
///
/// inet_aton(3), and the resolver with it, reads `127.1`, `0x7f.0.0.1` and `2130706433` as addresses. Browsers also
/// read `127.0.0.1.` with a dot behind it (WHATWG URL, "IPv4 parser"). Code that checks addresses knows only the plain
/// form, so a caller must write that form.
enum IPv4Literal: Equatable {
    /// It is a name: at least one of its labels is not a number.
    case name
    /// It stands for this address; the text is plain dotted decimal.
    case address(String)
    /// All of its labels are numbers, but they form no address: there are too many, or one is too large.
    case impossible

    /// - Parameter host: in ASCII.
    init(_ host: some Collection<UInt8>) {
        var labels = Array(host).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        if labels.count > 1, labels.last?.isEmpty == true { labels.removeLast() }
        guard labels.allSatisfy(Self.isNumber) else {
            self = .name
            return
        }
        let numbers = labels.compactMap(Self.number)
        guard numbers.count == labels.count, (1...4).contains(numbers.count), let last = numbers.last,
            numbers.dropLast().allSatisfy({ $0 <= 255 }), last < 1 << (8 * (5 - numbers.count))
        else {
            self = .impossible
            return
        }
        let address = numbers.dropLast().enumerated().reduce(last) {
            $0 + $1.element << (8 * (3 - $1.offset))
        }
        self = .address([24, 16, 8, 0].map { String(address >> $0 & 255) }.joined(separator: "."))
    }

    private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
        guard !label.isEmpty else { return false }
        if let digits = hexadecimal(label) { return digits.allSatisfy(\.isHexDigit) }
        return label.allSatisfy(\.isDigit)
    }

    /// The digits behind `0x`. There may be none, which browsers read as 0.
    private static func hexadecimal(_ label: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let prefix = label.prefix(2)
        guard prefix.count == 2, prefix.first == UInt8(ascii: "0"),
            prefix.dropFirst().first?.lowercased == UInt8(ascii: "x")
        else { return nil }
        return label.dropFirst(2)
    }

    /// The value, at most 2^32 - 1: decimal, octal behind a 0, hexadecimal behind 0x.
    private static func number(_ label: ArraySlice<UInt8>) -> Int? {
        if let digits = hexadecimal(label) { return value(digits, base: 16) }
        return value(label, base: label.first == UInt8(ascii: "0") ? 8 : 10)
    }

    private static func value(_ digits: ArraySlice<UInt8>, base: Int) -> Int? {
        var number = 0
        for byte in digits {
            guard let digit = byte.hexValue, digit < base else { return nil }
            number = number * base + Int(digit)
            guard number < 1 << 32 else { return nil }
        }
        return number
    }
}
