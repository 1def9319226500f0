import SluiceInterface
import TestKit
import Testing

// Bytes that are not the rest of the same body do not reach its consumer.
extension Integration.Continuation {
    /// How an origin answers the request for the rest, and the expected outcome.
    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: OutcomeCode
        var status = "206 Partial Content"
        var headers: [String] = []

        init(_ name: String, _ code: OutcomeCode, _ status: String, _ headers: [String]) {
            testDescription = name
            self.code = code
            self.status = status
            self.headers = headers
        }
    }

    static let range = "Content-Range: bytes 300000-999999/1000000"
    static let etag = "ETag: \"v1\""
    static let refusals = [
        Refusal("the whole, of another version", .resourceChanged, "200 OK", ["ETag: \"v2\""]),
        Refusal("a part of another version", .resourceChanged, "206 P", [range, "ETag: \"v2\""]),
        Refusal(
            "a weak entity-tag of the same letters", .resourceChanged, "206 P", [range, "ETag: W/\"v1\""]),
        Refusal("a redirect", .resourceChanged, "302 Found", ["Location: /elsewhere", etag]),
        Refusal("a part without a version", .unknownVersion, "206 P", [range]),
        Refusal("the whole without a version", .unknownVersion, "200 OK", []),
        Refusal(
            "a part that begins elsewhere", .wrongRange, "206 P",
            ["Content-Range: bytes 299999-999999/1000000", etag]),
        Refusal("a part that begins nowhere", .wrongRange, "206 P", [etag]),
        Refusal(
            "another unit", .wrongRange, "206 P", ["Content-Range: pages 300000-999999/1000000", etag]),
        Refusal(
            "several parts", .multipartRange, "206 P",
            ["Content-Type: multipart/byteranges; boundary=x", etag]),
        Refusal(
            "another length", .lengthChanged, "206 P",
            ["Content-Range: bytes 300000-999999/1000001", etag]),
        Refusal(
            "nothing, and another length", .rangeNotSatisfiable, "416 No",
            ["Content-Range: bytes */300001"]),
        Refusal("nothing, and no length", .rangeNotSatisfiable, "416 No", []),
        Refusal("an encoded part", .resourceChanged, "206 P", [range, etag, "Content-Encoding: gzip"]),
        Refusal("a status that does not pass", .httpStatus, "404 No", [etag]),
    ]

    @Test(
        "an answer that is not the rest of the same body ends the job with a specific outcome",
        arguments: refusals)
    func refusesWrongRest(_ refusal: Refusal) throws {
        let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
            let count = refusal.status.hasPrefix("200") ? 1_000_000 : 700_000
            try connection.sendHead(
                refusal.status, headers: ["Content-Length: \(count)"] + refusal.headers)
            // These bytes must not reach the consumer.
            try connection.send(Pattern(seed: 73), 0..<count)
        }
        let service = try TestService(Self.retries)
        let job = try service.fetch(origin.url(), expecting: Self.pattern)
            .finish(failing: refusal.code, delivered: 300_000)
        #expect(job.attempts == 2)
        #expect(job.attemptLog.map(\.code) == [.truncated, refusal.code])
        Self.check(job)
        #expect(origin.requests.count == 2, "it was asked again")
    }

    @Test("the same version with fewer bytes than were delivered fails as a changed length")
    func refusesShorterBody() throws {
        let origin = try BadOrigin.breaking(Self.pattern, length: nil) { connection, _ in
            try connection.respond(headers: [Self.etag], pattern: Self.pattern, count: 200_000)
        }
        let service = try TestService(Self.retries)
        try service.fetch(origin.url(), expecting: Self.pattern)
            .finish(failing: .lengthChanged, delivered: 300_000)
    }

    @Test("a part that is longer than its Content-Range never ends as complete")
    func refusesPartLongerThanAnnounced() throws {
        let origin = try BadOrigin.breaking(Self.pattern) { connection, _ in
            try connection.sendHead(
                "206 Partial Content",
                headers: ["Transfer-Encoding: chunked", Self.etag, Self.range])
            try connection.sendChunk(Self.pattern.bytes(300_000..<1_000_000))
            try connection.sendChunk(Self.pattern.bytes(1_000_000..<1_000_100))
            try connection.sendChunk([])
        }
        let service = try TestService(Self.retries)
        let job = try service.fetch(origin.url(), expecting: Self.pattern).finish(failing: .wrongRange)
        #expect(job.bytesDelivered <= 1_000_000)
    }

    /// What a first response says about its version, and why that is not enough.
    static let obstacles: [([String], OutcomeCode)] = [
        ([], .noValidator),
        (["ETag: W/\"v1\""], .weakValidator),
        // The body may have changed again in the second in which it was sent (RFC 9110 §8.8.2.2).
        (
            [
                "Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT", "Date: Wed, 01 Jan 2020 00:00:00 GMT",
            ], .weakValidator
        ),
        (["ETag: unquoted"], .weakValidator),
    ]

    @Test(
        "a body without a strong validator is not continued, and the origin is not asked again",
        arguments: obstacles)
    func needsStrongValidator(_ head: [String], _ code: OutcomeCode) throws {
        let origin = try BadOrigin.breaking(Self.pattern, head: head) { connection, _ in
            try connection.respondRest(Self.pattern, count: 1_000_000)
        }
        let service = try TestService(Self.retries)
        let job = try service.fetch(origin.url(), expecting: Self.pattern)
            .finish(failing: code, delivered: 300_000)
        #expect(job.attempts == 1)
        #expect(origin.requests.count == 1)
        // The message says why the body broke off, and why it does not continue.
        #expect(job.outcome?.message.contains("300000 of 1000000") == true, "\(job)")
    }

    @Test("a body that only the connection's end delimits is not continued")
    func closeDelimitedBodyIsNotContinued() throws {
        let isDelivered = try Gate()
        let origin = try BadOrigin.numbered { connection, _ in
            try connection.sendHead(headers: [Self.etag, "Connection: close"])
            try connection.send(Self.pattern, 0..<300_000)
            // The cut is an RST: a FIN would be the end of the body.
            try connection.wait(for: isDelivered)
            connection.reset()
        }
        let service = try TestService(Self.retries)
        let fetched = try service.fetch(origin.url(), expecting: Self.pattern)
        try fetched.reader.waitForCount(1)
        isDelivered.open()
        let job = try fetched.finish(failing: .notResumable)
        #expect(job.bytesDelivered <= 300_000)
        #expect(origin.requests.count == 1)
    }
}
