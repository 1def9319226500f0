// A server chooses the bytes of its header fields. This file compares them as bytes and as ASCII, not as Unicode:
// Unicode comparison finds some texts equal whose bytes differ, and is slow for others.

extension String? {
    /// The field's value without the blanks around it; nil if there is no field or its value is empty.
    var fieldValue: String? {
        guard let value = self?.trimmingBlanks, !value.isEmpty else { return nil }
        return value
    }
}

extension String {
    /// The text without spaces and tabs at either end, which are not part of a field's value (RFC 9110 §5.5).
    var trimmingBlanks: String {
        String(Substring(utf8[...].trimmingBlanks))
    }

    /// The text with ASCII letters in lower case; nil if it has anything but visible ASCII, spaces and tabs. Two such
    /// texts are equal only if their bytes are equal.
    var asciiLowercased: String? {
        guard utf8.allSatisfy({ (0x20...0x7e).contains($0) || $0 == 0x09 }) else { return nil }
        return lowercased()
    }

    /// The elements of a list, in order and without the blanks around them (RFC 9110 §5.6.1); empty ones are kept.
    var listElements: [String] {
        utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            .map { String(Substring($0.trimmingBlanks)) }
    }

    /// Whether it is a token (RFC 9110 §5.6.2).
    var isToken: Bool {
        !isEmpty && utf8.allSatisfy(\.isTokenByte)
    }
}

extension Substring.UTF8View {
    var trimmingBlanks: Substring.UTF8View {
        let isText: (UInt8) -> Bool = { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        guard let first = firstIndex(where: isText), let last = lastIndex(where: isText) else {
            return prefix(0)
        }
        return self[first...last]
    }
}

extension UInt8 {
    var isDigit: Bool { (0x30...0x39).contains(self) }

    var isHexDigit: Bool { hexValue != nil }

    /// The value of a hexadecimal digit.
    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    var isLetter: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(lowercased)
    }

    /// An upper case letter of ASCII in lower case, anything else as it is.
    var lowercased: UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(self) ? self | 0x20 : self
    }

    var isTokenByte: Bool {
        isLetter || isDigit || "!#$%&'*+-.^_`|~".utf8.contains(self)
    }
}

extension Int {
    /// Reads a number that consists of decimal digits alone; leading zeros are allowed. Returns nil for anything else
    /// and for a number above `limit`.
    init?(digits: some Sequence<UInt8>, atMost limit: Int) {
        var number: Int?
        for byte in digits {
            guard byte.isDigit else { return nil }
            let (product, isTooLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
            let (sum, isStillTooLarge) = product.addingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !isTooLarge, !isStillTooLarge, sum <= limit else { return nil }
            number = sum
        }
        guard let number else { return nil }
        self = number
    }
}
