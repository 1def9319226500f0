import SluiceCore
import SluiceInterface
import Testing

@Suite("What a response means")
struct ResponseRulesTests {
    private func judge(
        _ status: Int, _ fields: [String: String] = [:], maximumSize: Int? = nil, identityOnly: Bool = false
    ) -> ResponseDecision {
        ResponseRules.judge(
            status: status, field: { fields[$0] }, maximumSize: maximumSize, identityOnly: identityOnly)
    }

    private func accepted(_ length: Int?, _ framing: BodyFraming, _ coding: String? = nil) -> ResponseDecision
    {
        .accept(length: length, framing: framing, coding: coding)
    }

    private func refusal(_ decision: ResponseDecision) -> OutcomeCode? {
        guard case .refuse(let code, let message) = decision else { return nil }
        #expect(!message.isEmpty)
        return code
    }

    @Test(
        "only 2xx statuses are accepted",
        arguments: [100, 199, 300, 301, 304, 399, 400, 401, 404, 407, 499, 500, 503, 599, 600, 0])
    func acceptsOnly2xx(_ status: Int) {
        #expect(refusal(judge(status)) == .httpStatus)
    }

    @Test("a 204 has no body, and other statuses have the length that they announce")
    func noContentMeansNoBody() {
        #expect(judge(204, ["content-length": "5"]) == accepted(0, .none))
        // 205 must not have a body either, but its framing allows one (RFC 9112 §6.3): the announced length is
        // checked.
        #expect(judge(205, ["content-length": "0"]) == accepted(0, .length))
        for status in [200, 201, 202, 203, 226, 299] {
            #expect(judge(status, ["content-length": "5"]) == accepted(5, .length))
        }
    }

    @Test(
        "a part that was not requested is accepted if it is the whole body",
        arguments: [
            ["content-range": "bytes 0-11/12"], ["content-range": "bytes 0-11/12", "content-length": "12"],
            ["content-range": " bytes 0-11/12\t", "content-length": "12, 12"],
            ["content-range": "bytes 0-11/12", "transfer-encoding": "chunked", "content-length": "9"],
            ["content-range": "bytes 0-11/12", "transfer-encoding": "chunked"],
        ])
    func acceptsUnrequestedWholePart(_ fields: [String: String]) {
        #expect(judge(206, fields) == accepted(12, .length))
        #expect(refusal(judge(206, fields, maximumSize: 11)) == .tooLarge)
        #expect(
            judge(206, fields.merging(["content-encoding": "gzip"]) { $1 }) == accepted(12, .length, "gzip"))
    }

    @Test(
        "any other part is refused",
        arguments: [
            [:], ["content-length": "12"], ["content-range": "bytes 0-11/*"],
            ["content-range": "bytes 0-10/12"],
            ["content-range": "bytes 1-11/12"], ["content-range": "bytes */12"],
            ["content-range": "items 0-11/12"],
            ["content-range": "bytes 0-11/12, bytes 0-11/12"],
            ["content-type": "multipart/byteranges; boundary=x"],
            ["content-range": "bytes 0-11/12", "content-length": "11"],
            ["content-range": "bytes 0-72057594037927935/72057594037927936"],
        ])
    func refusesOtherParts(_ fields: [String: String]) {
        #expect(refusal(judge(206, fields)) == .unexpectedPartial)
    }

    @Test(
        "a coded body is accepted as it is, and refused if the job wants no coding",
        arguments: [
            ("gzip", "gzip"), (" GZip\t", "gzip"), ("br", "br"), ("x-gzip", "gzip"),
            ("X-Compress", "compress"),
            ("identity, gzip", "gzip"), ("gzip,br", "gzip, br"), ("gzip , , gzip", "gzip, gzip"),
            ("utf-8", "utf-8"),
            ("aws-chunked", "aws-chunked"),
            (String(repeating: "a", count: 64), String(repeating: "a", count: 64)),
            (String(repeating: "a", count: 65), ContentCoding.unreadable),
            ("gzip br", ContentCoding.unreadable),
            ("gzip;q=1", ContentCoding.unreadable), ("\"gzip\"", ContentCoding.unreadable),
            ("gz\u{fffd}ip", ContentCoding.unreadable), ("\u{212a}", ContentCoding.unreadable),
            (ContentCoding.unreadable, ContentCoding.unreadable), ("a\u{301}", ContentCoding.unreadable),
            (String(repeating: "br,", count: 30_000), ContentCoding.unreadable),
        ])
    func acceptsCodedBodies(_ field: String, _ coding: String) {
        let fields = ["content-encoding": field, "content-length": "5"]
        #expect(judge(200, fields) == accepted(5, .length, coding))
        #expect(refusal(judge(200, fields, identityOnly: true)) == .contentEncoded)
    }

    @Test(
        "identity and empty values mean no content coding",
        arguments: ["identity", "Identity", "", " \t", ",", "identity, identity"])
    func identityIsNoContentCoding(_ field: String) {
        for identityOnly in [false, true] {
            let fields = ["content-encoding": field, "content-length": "5"]
            #expect(judge(200, fields, identityOnly: identityOnly) == accepted(5, .length))
        }
    }

    @Test("chunked framing takes precedence over a length, and with neither the length is unknown")
    func chunksPrecedeLength() {
        for coding in [
            "chunked", "Chunked", "identity, chunked", " chunked\t", ",chunked,", "chunked, identity",
        ] {
            #expect(judge(200, ["transfer-encoding": coding]) == accepted(nil, .chunked), "\(coding)")
            for length in ["5", "x", "5, 6"] {
                #expect(
                    judge(200, ["transfer-encoding": coding, "content-length": length])
                        == accepted(nil, .chunked))
            }
        }
        #expect(judge(200) == accepted(nil, .unannounced))
    }

    @Test(
        "identity and empty values mean no transfer coding",
        arguments: ["identity", "IDENTITY", "", " \t ", ",", "identity, identity"])
    func identityIsNoTransferCoding(_ coding: String) {
        #expect(judge(200, ["transfer-encoding": coding]) == accepted(nil, .unannounced))
        #expect(judge(200, ["transfer-encoding": coding, "content-length": "5"]) == accepted(5, .length))
        #expect(refusal(judge(200, ["transfer-encoding": coding, "content-length": "x"])) == .protocolError)
    }

    @Test(
        "other transfer codings are refused: once they are removed, a truncated body looks whole",
        arguments: [
            ("gzip, chunked", .contentEncoded), ("gzip", .contentEncoded),
            ("GZIP , chunked", .contentEncoded),
            ("deflate", .contentEncoded), ("x", .contentEncoded), ("chunked, gzip", .contentEncoded),
            ("gzip;q=1", .contentEncoded),
            ("chunked;a=b", .protocolError),
            ("chunked chunked", .protocolError), ("chun\u{212a}ed", .protocolError),
            ("gz\u{fffd}ip", .protocolError),
            ("\"chunked\"", .protocolError), (";", .protocolError), ("chunked\0", .protocolError),
        ] as [(String, OutcomeCode)])
    func refusesOtherTransferCodings(_ coding: String, _ code: OutcomeCode) {
        #expect(refusal(judge(200, ["transfer-encoding": coding])) == code)
        #expect(refusal(judge(200, ["transfer-encoding": coding, "content-length": "5"])) == code)
    }

    @Test(
        "a length may have blanks around it, and be repeated",
        arguments: [
            ("12", 12), (" 12", 12), ("12\t ", 12), ("12, 12", 12), ("12,12", 12), ("12 ,\t12 , 12", 12),
            ("012", 12),
            ("12, 0012", 12), ("0", 0), ("72057594037927935", 1 << 56 - 1),
            (String(repeating: "0", count: 100_000) + "12", 12),
        ])
    func acceptsRepeatedLengths(_ field: String, _ length: Int) {
        #expect(judge(200, ["content-length": field]) == accepted(length, .length))
        #expect(ResponseRules.contentLength(field) == length)
    }

    @Test(
        "an invalid length, or two different ones, is refused with a short message",
        arguments: [
            "", " ", "-1", "+12", "x", "5, 6", "12, 13", "12,", ",12", "12, , 12", "12 12", "0x10", "1e3",
            "12.0", "12;",
            "99999999999999999999", "72057594037927936", "\u{661}\u{662}", "1\u{301}2", "12\u{fffd}", "12\0",
            String(repeating: "9", count: 100_000), String(repeating: "5,", count: 50_000) + "6",
        ])
    func refusesInvalidLengths(_ field: String) {
        guard case .refuse(let code, let message) = judge(200, ["content-length": field]) else {
            Issue.record("\(field.prefix(50)) was taken")
            return
        }
        #expect(code == .protocolError && message.utf8.count < 400)
    }

    @Test("a server that serves no ranges says so only by Accept-Ranges: none")
    func noneMeansNoRanges() {
        func refuses(_ value: String?) -> Bool {
            ResponseRules.refusesRanges { $0 == "accept-ranges" ? value : nil }
        }
        for value in ["none", " None\t", "none, none"] { #expect(refuses(value), "\(value)") }
        for value in [nil, "", ",", "bytes", "none, bytes", "no ne", "none\u{fffd}"] {
            #expect(!refuses(value))
        }
        #expect(!refuses(String(repeating: "\u{301}", count: 100_000)))
    }

    @Test("an entity-tag that can be sent back is kept")
    func keepsValidEntityTags() {
        func tag(_ value: String?) -> String? { ResponseRules.entityTag { $0 == "etag" ? value : nil } }
        #expect(tag(" \"a\"\t") == "\"a\"")
        #expect(tag("W/\"a\"") == "W/\"a\"")
        for value in [nil, "", "a", "w/\"a\"", "\"a b\"", "\"\u{fffd}\"", "\"", "W/", "\"a\", \"a\""] {
            #expect(tag(value) == nil)
        }
        #expect(tag("\"" + String(repeating: "a", count: Validator.maximumLength) + "\"") == nil)
    }

    @Test("an announced length over the limit is refused before any byte arrives")
    func refusesAnnouncedExcess() {
        #expect(refusal(judge(200, ["content-length": "11"], maximumSize: 10)) == .tooLarge)
        #expect(refusal(judge(200, ["content-length": "10"], maximumSize: 10)) == nil)
    }

    @Test("a matching length or a last chunk proves the end of a body, a closed connection does not")
    func closedConnectionProvesNoEnd() {
        func end(_ received: Int, _ length: Int?, _ framing: BodyFraming, proven: Bool = false) -> OutcomeCode
        {
            ResponseRules.atEnd(received: received, length: length, framing: framing, endIsProven: proven)
                .code
        }
        #expect(end(5, 5, .length) == .complete)
        #expect(end(4, 5, .length) == .truncated)
        #expect(end(6, 5, .length) == .truncated)
        #expect(end(0, 0, .length) == .complete)
        #expect(end(0, 0, .none) == .complete)
        #expect(end(7, nil, .chunked) == .complete)
        #expect(end(7, nil, .unannounced) == .completeUnverified)
        #expect(end(7, nil, .unannounced, proven: true) == .complete)
    }
}
