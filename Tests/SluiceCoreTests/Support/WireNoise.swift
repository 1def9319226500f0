import TestKit

/// Bytes that servers might send: pieces of real fields, joined, cut, repeated and damaged.
enum WireNoise {
    private static let pieces = [
        "bytes", "Bytes", "items", " ", "  ", "\t", "-", "/", "*", "=", ",", ";", ":", "\"", "W/", "w/", "0",
        "1", "99",
        "100", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551616",
        "72057594037927935", "72057594037927936", "+5", "0x10", "1e400", "inf", "nan", "\"abc\"", "W/\"abc\"",
        "\u{212a}", "٣", "é", "e\u{301}", "\u{301}", "\0", "\r\n", "\u{7f}", "\u{fffd}", "\u{1f600}", "GMT",
        "Sun",
        "Sunday", "Nov", "06", "1994", "08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994", "gzip", "identity", "chunked", "multipart/byteranges; boundary=x",
        "text/plain",
        "sha-256", "sha-512", "unixsum", "?1", "(", ")", "@1", "%\"", "\\",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "1.5", "2.", "-.",
    ]

    static func text(using generator: inout SeededGenerator) -> String {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: return ""
        case 1: return bytes(using: &generator)
        case 2: return String(repeating: pieces.randomElement(using: &generator) ?? "", count: 400)
        default:
            let count = Int.random(in: 1...9, using: &generator)
            return (0..<count).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        }
    }

    private static func bytes(using generator: inout SeededGenerator) -> String {
        let count = Int.random(in: 0..<40, using: &generator)
        return String(
            decoding: (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }, as: UTF8.self)
    }
}
