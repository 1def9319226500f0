/// The head of a request as it came over the wire.
public struct HTTPHead: Sendable {
    /// `GET` and similar.
    public let method: String
    /// The request target, as sent.
    public let target: String
    /// Names as sent, values trimmed, in order.
    public let headers: [(name: String, value: String)]
    /// The whole head, with the empty line.
    public let raw: String

    /// Parses the bytes up to and including the empty line.
    ///
    /// - Throws: `TestFailure` where there is no valid request line.
    public init(raw: String) throws {
        self.raw = raw
        let lines = raw.split(separator: "\r\n", omittingEmptySubsequences: true)
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count == 3 else { throw TestFailure("no request line: \(raw.prefix(200))") }
        method = String(words[0])
        target = String(words[1])
        headers = lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...]
            return (String(line[..<colon]), String(value.trimmed))
        }
    }

    /// The path of the target, without its query.
    public var path: String { String(target.prefix { $0 != "?" }) }

    /// The first value of a header, whatever the case of its name.
    public subscript(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The first position of `Range: bytes=N-`, if there is such a header.
    public var rangeStart: Int? {
        guard let range = self["Range"], range.hasPrefix("bytes=") else { return nil }
        return Int(range.dropFirst(6).prefix { $0.isNumber })
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        let start = drop { $0 == " " || $0 == "\t" }
        guard let end = start.lastIndex(where: { $0 != " " && $0 != "\t" }) else { return "" }
        return start[...end]
    }
}
