import FoundationEssentials
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing

/// How a lane treats every kind of answer to a request for the rest of a body.
@Suite("Continuing a body")
struct ContinuationTests {
    static let pattern = Pattern(seed: 91)
    static let length = 300_007
    /// The consumer already has this number of bytes.
    static let position = 100_003

    /// An answer, and its expected effect.
    struct Answer: Sendable, CustomTestStringConvertible {
        var name: String
        var status = "206 Partial Content"
        /// Header fields beside Content-Length.
        var headers: [String]
        /// The range of the pattern that is sent.
        var body = ContinuationTests.position..<ContinuationTests.length
        /// Chunked, without a Content-Length.
        var isChunked = false
        var outcome: OutcomeCode
        /// The bytes of the body that the consumer has at the end.
        var delivered = ContinuationTests.position
        /// The length of the body that was known before.
        var knownLength: Int? = ContinuationTests.length

        var testDescription: String { name }
    }

    static let etag = "ETag: \"v1\""
    static func range(_ first: Int, _ last: Int, _ complete: String = "\(length)") -> String {
        "Content-Range: bytes \(first)-\(last)/\(complete)"
    }
    static let rest = range(position, length - 1)

    static let answers: [Answer] = [
        Answer(name: "the rest", headers: [rest, etag], outcome: .complete, delivered: length),
        Answer(
            name: "the rest, chunked", headers: [rest, etag], isChunked: true, outcome: .complete,
            delivered: length),
        Answer(
            name: "a later part", headers: [range(position + 1, length - 1), etag],
            body: position + 1..<length, outcome: .wrongRange),
        Answer(
            name: "an earlier part", headers: [range(0, length - 1), etag], body: 0..<length,
            outcome: .wrongRange),
        Answer(name: "206 without a Content-Range", headers: [etag], outcome: .wrongRange),
        Answer(
            name: "another unit",
            headers: ["Content-Range: items \(position)-\(length - 1)/\(length)", etag],
            outcome: .wrongRange),
        Answer(
            name: "a part of another length than the range says", headers: [rest, etag],
            body: position..<length - 1, outcome: .wrongRange),
        Answer(
            name: "the rest of another version", headers: [rest, "ETag: \"v2\""], outcome: .resourceChanged),
        Answer(
            name: "the rest with the weak form of the validator", headers: [rest, "ETag: W/\"v1\""],
            outcome: .resourceChanged),
        Answer(name: "the rest of an unnamed version", headers: [rest], outcome: .unknownVersion),
        Answer(
            name: "the rest of a body of another length",
            headers: [range(position, length - 1, "\(length + 5)"), etag],
            outcome: .lengthChanged),
        Answer(
            name: "several parts", headers: ["Content-Type: multipart/byteranges; boundary=x", etag],
            outcome: .multipartRange),
        Answer(
            name: "an encoded rest", headers: [rest, etag, "Content-Encoding: br"], outcome: .resourceChanged),
        Answer(
            name: "a short part", headers: [range(position, 149_999), etag], body: position..<150_000,
            outcome: .truncated, delivered: 150_000),
        Answer(
            name: "the rest, and no word about the length",
            headers: [range(position, length - 1, "*"), etag], outcome: .truncated, delivered: length,
            knownLength: nil),
        Answer(
            name: "the rest, and at last the length", headers: [rest, etag], outcome: .complete,
            delivered: length, knownLength: nil),
        Answer(
            name: "more than the range says", headers: [range(position, 149_999), etag],
            body: position..<200_000, isChunked: true, outcome: .wrongRange),
        Answer(
            name: "all of it again", status: "200 OK", headers: [etag], body: 0..<length, outcome: .complete,
            delivered: length),
        Answer(
            name: "all of it again, chunked", status: "200 OK", headers: [etag], body: 0..<length,
            isChunked: true, outcome: .complete, delivered: length),
        Answer(
            name: "all of another version", status: "200 OK", headers: ["ETag: \"v2\""], body: 0..<length,
            outcome: .resourceChanged),
        Answer(
            name: "all of an unnamed version", status: "200 OK", headers: [], body: 0..<length,
            outcome: .unknownVersion),
        Answer(
            name: "all of it, of another length", status: "200 OK", headers: [etag], body: 0..<length + 1,
            outcome: .lengthChanged),
        Answer(
            name: "all of it, and more", status: "200 OK", headers: [etag], body: 0..<length + 1,
            isChunked: true, outcome: .lengthChanged),
        Answer(
            name: "all of it, less than there was, chunked", status: "200 OK", headers: [etag],
            body: 0..<length - 1, isChunked: true, outcome: .lengthChanged, delivered: length - 1),
        Answer(
            name: "all of it, less than was delivered", status: "200 OK", headers: [etag], body: 0..<50_000,
            isChunked: true, outcome: .lengthChanged, knownLength: nil),
        Answer(
            name: "416, and the body is longer", status: "416 Range Not Satisfiable",
            headers: ["Content-Range: bytes */\(length)"], body: 0..<0, outcome: .rangeNotSatisfiable),
        Answer(
            name: "416, and that was all, against what was said before", status: "416 Range Not Satisfiable",
            headers: ["Content-Range: bytes */\(position)"], body: 0..<0, outcome: .rangeNotSatisfiable),
        Answer(
            name: "416, and that was all", status: "416 Range Not Satisfiable",
            headers: ["Content-Range: bytes */\(position)"], body: 0..<10, outcome: .complete,
            knownLength: nil),
        Answer(
            name: "416 without a word", status: "416 Range Not Satisfiable", headers: [], body: 0..<10,
            outcome: .rangeNotSatisfiable),
        Answer(
            name: "a redirect", status: "302 Found", headers: ["Location: /elsewhere"], body: 0..<0,
            outcome: .resourceChanged),
        Answer(
            name: "a redirect to nowhere", status: "302 Found", headers: [], body: 0..<0,
            outcome: .resourceChanged),
        Answer(
            name: "not modified", status: "304 Not Modified", headers: [etag], body: 0..<0,
            outcome: .httpStatus),
        Answer(name: "gone", status: "404 Not Found", headers: [], body: 0..<10, outcome: .httpStatus),
    ]

    @Test("each answer leads to its expected outcome, and no wrong byte is delivered", arguments: answers)
    func judgesEveryAnswer(_ answer: Answer) throws {
        let origin = try BadOrigin { connection in
            let bytes = Self.pattern.bytes(answer.body)
            if answer.isChunked {
                try connection.sendHead(
                    answer.status, headers: ["Transfer-Encoding: chunked"] + answer.headers)
                for start in stride(from: 0, to: bytes.count, by: 9973) {
                    try connection.sendChunk(Array(bytes[start..<min(start + 9973, bytes.count)]))
                }
                try connection.sendChunk([])
            } else {
                try connection.respond(answer.status, headers: answer.headers, body: bytes)
            }
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: Self.position)
        let known = Representation.test(origin.url("/file"), length: answer.knownLength)
        let facts = try lane.run(
            .test("http://127.0.0.1:9/old", position: Self.position, known: known), of: job)
        #expect(facts.outcome.code == answer.outcome, "\(facts.outcome)")
        let delivered = try job.check()
        if answer.outcome == .complete || answer.outcome == .truncated {
            #expect(delivered == answer.delivered)
        } else {
            // The lane may have passed on the right bytes of an answer that turns out wrong later.
            #expect(delivered >= Self.position)
            if !answer.isChunked { #expect(delivered == Self.position) }
        }
        let request = try #require(origin.requests.first)
        #expect(request["Range"] == "bytes=\(Self.position)-")
        #expect(request["If-Range"] == "\"v1\"")
        #expect(origin.requests.count == 1)
        #expect(origin.failures == [])
        if let response = lane.response {
            #expect(response.representation.url == known.url)
            #expect(response.representation.version == known.version)
            let isAgain = answer.status.hasPrefix("200")
            #expect(response.representation.refusesRanges == isAgain)
        }
    }

    @Test("a lane that is used again continues its body exactly, through many answers that break off")
    func continuesInManyPieces() throws {
        // Each answer breaks off after some bytes, in both of the ways in which a server can send the rest.
        let origin = try BadOrigin { connection in
            let start = connection.number.isMultiple(of: 3) ? 0 : connection.request.rangeStart ?? 0
            let had = connection.request.rangeStart ?? 0
            let end = min(Self.length, had + 17_011)
            if start > 0 {
                try connection.sendHead(
                    "206 Partial Content",
                    headers: [
                        Self.range(start, Self.length - 1), Self.etag,
                        "Content-Length: \(Self.length - start)",
                    ])
            } else {
                try connection.sendHead(headers: [Self.etag, "Content-Length: \(Self.length)"])
            }
            try connection.send(Self.pattern, start..<end)
            if end < Self.length { connection.close() }
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern)
        var known: Representation?
        var position = 0
        for _ in 0..<100 {
            let facts = try lane.run(
                .test(origin.url("/file"), position: position, known: known), of: job)
            known = lane.response?.representation
            position = try job.check()
            #expect(known?.length == Self.length)
            if facts.outcome.code == .complete { break }
            #expect(facts.outcome.code == .truncated || facts.outcome.code == .connectionLost, "\(facts)")
            job.restart(at: position)
        }
        #expect(position == Self.length)
        #expect(origin.requests.count == (Self.length + 17_010) / 17_011)
        #expect(origin.failures == [])
    }

    @Test("the caller's fields are sent where they were sent before, without conditions")
    func repeatsFieldsWithoutConditions() throws {
        let origin = try BadOrigin { connection in
            try connection.respond(
                "206 Partial Content", headers: [Self.rest, Self.etag], pattern: Self.pattern,
                count: Self.length, from: Self.position)
        }
        let lane = try LaneBench()
        for sendsHeaders in [true, false] {
            let job = try LaneTestJob(Self.pattern, from: Self.position)
            var known = Representation.test(origin.url("/file"), length: Self.length)
            known.sendsHeaders = sendsHeaders
            let order = try LaneOrder.test(origin.url("/old"), position: Self.position, known: known) {
                $0.headers = [
                    HeaderField(name: "X-Mine", value: "1"),
                    HeaderField(name: "Authorization", value: "Bearer s3cret"),
                    HeaderField(name: "If-Modified-Since", value: "Sun, 06 Nov 1994 08:49:37 GMT"),
                ]
                $0.ifNoneMatch = "\"v0\""
            }
            #expect(try lane.run(order, of: job).outcome.code == .complete)
            let request = try #require(origin.requests.last)
            #expect(request.target == "/file")
            #expect(request["X-Mine"] == "1")
            #expect(request["Authorization"] == (sendsHeaders ? "Bearer s3cret" : nil))
            #expect(request["If-None-Match"] == nil)
            #expect(request["If-Modified-Since"] == nil)
            #expect(request["Accept-Encoding"] == "identity")
        }
    }

    @Test("a pause that the server requests is reported as a finite number", arguments: [1, 400])
    func reportsRetryAfter(_ digits: Int) throws {
        let text = String(repeating: "9", count: digits)
        let seconds = digits == 1 ? 9.0 : 31_536_000
        let origin = try BadOrigin { connection in
            try connection.respond("503 Service Unavailable", headers: ["Retry-After: \(text)"])
        }
        let lane = try LaneBench()
        for position in [0, Self.position] {
            let job = try LaneTestJob(Self.pattern, from: position)
            let known = Representation.test(origin.url("/file"), length: Self.length)
            let facts = try lane.run(.test(origin.url("/file"), position: position, known: known), of: job)
            #expect(facts.outcome.code == .httpStatus)
            #expect(facts.status == 503)
            #expect(facts.retryAfterSeconds == seconds)
        }
    }

    @Test("an origin that slowly sends what the consumer has already is not silent")
    func slowRepeatIsNotSilence() throws {
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: [Self.etag, "Content-Length: \(Self.length)"])
            try connection.sendSlowly(
                Self.pattern.bytes(0..<20_000), piece: 1000, pause: .milliseconds(100))
            try connection.send(Self.pattern, 20_000..<Self.length)
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: Self.position)
        let known = Representation.test(origin.url("/file"), length: Self.length)
        let order = try LaneOrder.test(origin.url("/file"), position: Self.position, known: known) {
            $0.silenceTimeoutSeconds = 1
        }
        #expect(try lane.run(order, of: job).outcome.code == .complete)
        #expect(try job.check() == Self.length)
    }

    @Test("values that an origin has chosen are bounded in what the lane reports of them")
    func boundsValuesFromOrigin() throws {
        let long = String(repeating: "x", count: 2000)
        let padding = String(repeating: " ", count: 5000)
        let path = "/" + String(repeating: "/", count: 8000)
        let origin = try BadOrigin()
        origin.on("/etag") { try $0.respond(headers: ["ETag: \"\(long)\""], body: [1]) }
        origin.on("/date") {
            try $0.respond(
                headers: [
                    "Last-Modified: Sun,\(padding)06 Nov 1994 08:49:37 GMT",
                    "Date: Sun, 06 Nov 2022 08:49:37 GMT",
                ], body: [1])
        }
        origin.on(path) {
            try $0.respond(headers: ["ETag: \"\(String(repeating: "\\", count: 1000))\""], body: [1])
        }
        let lane = try LaneBench()
        for (path, isNamed) in [("/etag", false), ("/date", false), (path, true)] {
            let facts = try lane.run(.test(origin.url(path)), of: try LaneTestJob(Pattern(), from: 0))
            #expect(facts.outcome.code == .complete)
            let response = try #require(lane.response)
            #expect((response.etag != nil) == isNamed)
            #expect((response.representation.version.validator != nil) == isNamed)
        }
    }

    @Test("the lane refuses an order to continue a body that no validator identifies")
    func refusesUnidentifiedBody() throws {
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: Self.position)
        var known = Representation.test("http://127.0.0.1:9/", length: Self.length)
        known.version = .weak
        for known in [nil, known] {
            let facts = try lane.run(
                .test("http://127.0.0.1:9/", position: Self.position, known: known), of: job)
            #expect(facts.outcome.code == .laneUnavailable)
        }
    }
}
