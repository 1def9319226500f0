import TestKit

/// Origins whose answer depends on the number of the request.
extension BadOrigin {
    /// Runs a script that gets the number of the request that it answers, from 1 on.
    static func numbered(
        _ script: @escaping @Sendable (inout OriginConnection, Int) throws -> Void
    ) throws -> BadOrigin {
        let count = Monitor(0)
        return try BadOrigin { connection in
            let number = count.update { count in
                count += 1
                return count
            }
            try script(&connection, number)
        }
    }

    /// Breaks its first body off, and then runs the script.
    ///
    /// - Parameters:
    ///   - head: header fields of the first response, in addition to those that follow from `length`.
    ///   - length: the announced length; nil for a chunked body.
    ///   - sent: the number of bytes of the body that are sent.
    static func breaking(
        _ pattern: Pattern, head: [String] = ["ETag: \"v1\""], length: Int? = 1_000_000, sent: Int = 300_000,
        then script: @escaping @Sendable (inout OriginConnection, Int) throws -> Void
    ) throws -> BadOrigin {
        try numbered { connection, number in
            guard number == 1 else { return try script(&connection, number) }
            if let length {
                try connection.sendHead(headers: ["Content-Length: \(length)"] + head)
                try connection.send(pattern, 0..<sent)
            } else {
                try connection.sendHead(headers: ["Transfer-Encoding: chunked"] + head)
                try connection.sendChunk(pattern.bytes(0..<sent))
            }
            connection.close()
        }
    }
}

extension OriginConnection {
    /// Answers a request for the rest correctly, with additional fields as requested.
    mutating func respondRest(
        _ pattern: Pattern, count: Int, etag: String = "\"v1\"", headers: [String] = []
    ) throws {
        guard let start = request.rangeStart else { throw TestFailure("no Range: \(request.raw)") }
        try sendHead(
            "206 Partial Content",
            headers: [
                "Content-Range: bytes \(start)-\(count - 1)/\(count)", "Content-Length: \(count - start)",
                "ETag: \(etag)",
            ] + headers)
        try send(pattern, start..<count)
    }
}
