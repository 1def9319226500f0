import SluiceInterface
import Testing

@testable import SluiceCore

/// The origin has announced 20 bytes of a body with the entity-tag "v1", and 5 of them were delivered.
@Suite("How a body goes on")
struct ContinuationRulesTests {
    static let place = "http://h/file"
    static let changed = "Sun, 06 Nov 1994 08:49:37 GMT"
    static let tag = Version.strong(Validator(kind: .etag, text: "\"v1\""))
    static let date = Version.strong(Validator(kind: .lastModified, text: changed))

    static func known(
        _ version: Version = tag, length: Int? = 20, framing: BodyFraming = .length
    ) -> Representation {
        Representation(url: place, sendsHeaders: true, version: version, length: length, framing: framing)
    }

    private func judge(
        _ status: Int, _ fields: [String: String], known: Representation = known(), position: Int = 5,
        asksForAll: Bool = false, url: String = place
    ) -> ContinuationDecision {
        ContinuationRules.judge(
            status: status, url: url, position: position, known: known, asksForAll: asksForAll,
            field: { fields[$0] })
    }

    private func refusal(
        _ decision: ContinuationDecision, sourceLocation: SourceLocation = #_sourceLocation
    ) -> OutcomeCode? {
        guard case .refuse(let code, let message) = decision else { return nil }
        #expect(!message.isEmpty && !message.contains("\n"), sourceLocation: sourceLocation)
        return code
    }

    // MARK: 206

    static let part = ["etag": "\"v1\"", "content-range": "bytes 5-19/20", "content-length": "15"]

    @Test("the exact rest of the same version continues the body")
    func continuesWithExactRest() {
        #expect(judge(206, Self.part) == .goOn(remaining: 15, length: 20, framing: .length))
        var fields = Self.part
        fields["content-length"] = nil
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
        fields["content-range"] = "bytes 5-19/*"
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test(
        "the length of a part may be repeated, and have blanks around it",
        arguments: ["15, 15", " 15\t", "15,015"])
    func acceptsRepeatedPartLength(_ length: String) {
        let fields = Self.part.merging(["content-length": length]) { $1 }
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a chunked part is as long as its Content-Range says, whatever Content-Length says")
    func chunkedPartUsesContentRange() {
        var fields = Self.part
        fields["transfer-encoding"] = "chunked"
        fields["content-length"] = "99"
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a body whose length was not announced takes its length from the part")
    func learnsLengthFromPart() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(judge(206, Self.part, known: known) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a part of the rest continues the body, whose known length shows that more is missing")
    func continuesWithPartOfRest() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-9/20"
        fields["content-length"] = "5"
        #expect(judge(206, fields) == .goOn(remaining: 5, length: 20, framing: .length))
    }

    @Test("a part without a complete length continues a body of unknown length, but is not its end")
    func partWithoutLengthIsNoEnd() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-19/*"
        let known = Self.known(length: nil, framing: .chunked)
        #expect(judge(206, fields, known: known) == .goOn(remaining: 15, length: nil, framing: .length))
    }

    @Test(
        "a part that does not begin with the next byte is refused",
        arguments: ["bytes 4-19/20", "bytes 6-19/20", "bytes 0-19/20", "bytes 0-0/20"])
    func refusesWrongOffset(_ range: String) {
        var fields = Self.part
        fields["content-range"] = range
        fields["content-length"] = nil
        #expect(refusal(judge(206, fields)) == .wrongRange)
    }

    @Test(
        "a part that does not say where it begins is refused",
        arguments: [
            nil, "", "bytes */20", "bytes 5-19", "items 5-19/20", "bytes 19-5/20", "bytes 5-20/20", "x",
        ])
    func refusesPartWithoutRange(_ range: String?) {
        var fields = Self.part
        fields["content-range"] = range
        #expect(refusal(judge(206, fields)) == .wrongRange)
    }

    @Test("another complete length for the same version is refused")
    func refusesChangedLength() {
        for range in ["bytes 5-20/21", "bytes 5-18/19", "bytes 5-19/21"] {
            var fields = Self.part
            fields["content-range"] = range
            fields["content-length"] = nil
            #expect(refusal(judge(206, fields)) == .lengthChanged, "\(range)")
        }
    }

    @Test("a part that reaches beyond the body's end is refused, even if it names no complete length")
    func refusesPartBeyondEnd() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-20/*"
        fields["content-length"] = "16"
        #expect(refusal(judge(206, fields)) == .lengthChanged)
        fields["content-range"] = "bytes 5-9223372036854775806/*"
        fields["content-length"] = nil
        #expect(refusal(judge(206, fields)) != nil)
    }

    @Test(
        "a part whose length does not match its range is refused",
        arguments: ["14", "16", "x", "", "-15", "+15", "15, 16", "15,", "0xf"])
    func refusesLengthUnlikeRange(_ length: String) {
        var fields = Self.part
        fields["content-length"] = length
        #expect(refusal(judge(206, fields)) == .wrongRange)
    }

    @Test("a multipart response is refused as such, with or without a Content-Range")
    func refusesMultipart() {
        for type in [
            "multipart/byteranges; boundary=x", "Multipart/ByteRanges;boundary=x", " multipart/byteranges",
        ] {
            #expect(refusal(judge(206, ["content-type": type])) == .multipartRange)
            #expect(
                refusal(judge(206, Self.part.merging(["content-type": type]) { $1 })) == .multipartRange)
        }
        #expect(refusal(judge(206, Self.part.merging(["content-type": "text/plain"]) { $1 })) == nil)
    }

    @Test("a part is refused if the whole body was requested")
    func refusesUnrequestedPart() {
        #expect(refusal(judge(206, Self.part, asksForAll: true)) == .unexpectedPartial)
    }

    @Test("a part that is the whole body is accepted if the whole body was requested")
    func acceptsPartThatIsWhole() {
        var fields = ["etag": "\"v1\"", "content-range": "bytes 0-19/20"]
        #expect(judge(206, fields, asksForAll: true) == .startOver(length: 20, framing: .length))
        fields["content-length"] = "20"
        #expect(judge(206, fields, asksForAll: true) == .startOver(length: 20, framing: .length))
        fields["content-length"] = "19"
        #expect(refusal(judge(206, fields, asksForAll: true)) == .unexpectedPartial)
        fields["content-length"] = nil
        fields["etag"] = "\"v2\""
        #expect(refusal(judge(206, fields, asksForAll: true)) == .resourceChanged)
        fields = ["etag": "\"v1\"", "content-range": "bytes 0-20/21"]
        #expect(refusal(judge(206, fields, asksForAll: true)) == .lengthChanged)
    }

    // MARK: Versions of the body

    @Test(
        "another entity-tag is another version, however similar it looks",
        arguments: [
            "\"v2\"", "W/\"v1\"", "w/\"v1\"", "v1", "\"V1\"", "\"v1\", \"v2\"", "\"v1\"x",
            "\"v\u{31}\u{301}\"",
            "\u{1fef}",
        ])
    func refusesOtherEntityTag(_ tag: String) {
        let whole = ["etag": tag, "content-length": "20"]
        #expect(refusal(judge(206, Self.part.merging(["etag": tag]) { $1 })) == .resourceChanged)
        #expect(refusal(judge(200, whole)) == .resourceChanged)
        #expect(refusal(judge(200, whole, asksForAll: true)) == .resourceChanged)
    }

    @Test("entity-tags are compared byte for byte, not by Unicode equivalence")
    func comparesEntityTagsByBytes() {
        // U+212A, KELVIN SIGN, is canonically equivalent to the letter K.
        let known = Self.known(.strong(Validator(kind: .etag, text: "\"K\"")))
        let kelvin = Self.part.merging(["etag": "\"\u{212a}\""]) { $1 }
        #expect(refusal(judge(206, kelvin, known: known)) == .resourceChanged)
    }

    @Test("blanks around the entity-tag are not part of it")
    func ignoresBlanksAroundEntityTag() {
        #expect(refusal(judge(206, Self.part.merging(["etag": " \"v1\"\t"]) { $1 })) == nil)
    }

    @Test("a response that does not name its version is refused", arguments: [nil, "", " \t"])
    func refusesUnnamedVersion(_ tag: String?) {
        var fields = Self.part
        fields["etag"] = tag
        // The request asked about the entity-tag, so the other validator does not count.
        fields["last-modified"] = Self.changed
        #expect(refusal(judge(206, fields)) == .unknownVersion)
        #expect(
            refusal(judge(200, ["etag": tag, "content-length": "20"].compactMapValues { $0 }))
                == .unknownVersion)
    }

    @Test("a body identified by its date continues only with the same date")
    func continuesOnlyWithSameDate() {
        let known = Self.known(Self.date)
        var fields = ["last-modified": Self.changed, "content-range": "bytes 5-19/20"]
        #expect(judge(206, fields, known: known) == .goOn(remaining: 15, length: 20, framing: .length))
        // The same moment in another form is another text: only the sender knows that it is the same moment.
        for other in ["Sun, 06 Nov 1994 08:49:38 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "0"] {
            fields["last-modified"] = other
            #expect(refusal(judge(206, fields, known: known)) == .resourceChanged)
        }
        fields["last-modified"] = nil
        fields["etag"] = "\"v1\""
        #expect(refusal(judge(206, fields, known: known)) == .unknownVersion)
    }

    @Test("a body that cannot be continued is refused, whatever the response says")
    func neverContinuesUncontinuableBody() {
        for version in [Version.weak, .unnamed] {
            #expect(refusal(judge(206, Self.part, known: Self.known(version))) == .notResumable)
            #expect(refusal(judge(200, Self.part, known: Self.known(version))) == .notResumable)
            #expect(
                refusal(judge(416, ["content-range": "bytes */5"], known: Self.known(version)))
                    == .notResumable)
        }
        let cut = Self.known(length: nil, framing: .unannounced)
        #expect(refusal(judge(206, Self.part, known: cut)) == .notResumable)
    }

    @Test("the same version at another URL is another body")
    func refusesOtherURL() {
        for url in ["http://h/other", "https://h/file", "http://h/file?", "http://H/file", ""] {
            #expect(refusal(judge(206, Self.part, url: url)) == .resourceChanged)
            #expect(
                refusal(judge(200, ["etag": "\"v1\"", "content-length": "20"], url: url)) == .resourceChanged)
            #expect(
                refusal(judge(416, ["content-range": "bytes */5"], known: Self.known(length: nil), url: url))
                    == .resourceChanged)
        }
    }

    @Test("an error status from another URL is reported as such, not as a changed body")
    func reportsStatusOfOtherURL() {
        #expect(refusal(judge(503, [:], url: "http://h/sorry")) == .httpStatus)
        #expect(refusal(judge(404, [:], url: "http://h/sorry")) == .httpStatus)
    }

    @Test(
        "another content coding is another body, whatever the entity-tag says",
        arguments: ["gzip", "br", "identity, gzip", "x", "GZIP", "é", "a b"])
    func refusesOtherContentCoding(_ coding: String) {
        let whole = ["etag": "\"v1\"", "content-length": "20"]
        for (status, fields) in [(206, Self.part), (200, whole)] {
            #expect(
                refusal(judge(status, fields.merging(["content-encoding": coding]) { $1 }))
                    == .resourceChanged
            )
            for began in ["deflate", "gzip, gzip", ContentCoding.unreadable] {
                var known = Self.known()
                known.coding = began
                let now = fields.merging(["content-encoding": coding]) { $1 }
                #expect(refusal(judge(status, now, known: known)) != nil)
                #expect(refusal(judge(status, fields, known: known)) != nil, "and so has none")
            }
        }
    }

    @Test("a coded body continues in the same coding, however the coding is written")
    func continuesInSameCoding() {
        var known = Self.known()
        known.coding = "gzip"
        for coding in ["gzip", "GZip", "x-gzip", " gzip\t", "identity, gzip", ",gzip"] {
            let fields = Self.part.merging(["content-encoding": coding]) { $1 }
            #expect(judge(206, fields, known: known) == .goOn(remaining: 15, length: 20, framing: .length))
            let whole = ["etag": "\"v1\"", "content-length": "20", "content-encoding": coding]
            #expect(judge(200, whole, known: known) == .startOver(length: 20, framing: .length))
            #expect(
                refusal(judge(206, fields.merging(["etag": "\"v2\""]) { $1 }, known: known))
                    == .resourceChanged)
        }
        known.coding = ContentCoding.unreadable
        #expect(known.obstacle?.code == .notResumable && !known.isParkable)
        #expect(
            refusal(judge(206, Self.part.merging(["content-encoding": "é"]) { $1 }, known: known))
                == .notResumable)
    }

    @Test(
        "a transfer coding other than chunked is refused",
        arguments: ["gzip", "br", "identity, gzip", "x", "GZIP"])
    func refusesTransferCodings(_ coding: String) {
        for (status, fields) in [(206, Self.part), (200, ["etag": "\"v1\"", "content-length": "20"])] {
            #expect(
                refusal(judge(status, fields.merging(["transfer-encoding": coding]) { $1 }))
                    == .contentEncoded
            )
        }
        for none in ["", "identity", "Identity"] {
            #expect(refusal(judge(206, Self.part.merging(["content-encoding": none]) { $1 })) == nil)
        }
    }

    // MARK: 200

    @Test("a server that sends the whole of the same version again is read from its beginning")
    func startsOverWithWholeBody() {
        let fields = ["etag": "\"v1\"", "content-length": "20"]
        #expect(judge(200, fields) == .startOver(length: 20, framing: .length))
        #expect(judge(200, fields, asksForAll: true) == .startOver(length: 20, framing: .length))
        #expect(
            judge(200, fields, known: Self.known(length: nil, framing: .chunked))
                == .startOver(length: 20, framing: .length))
    }

    @Test("a whole body without a length must have the length that was announced the first time")
    func keepsFirstAnnouncedLength() {
        let chunked = ["etag": "\"v1\"", "transfer-encoding": "chunked"]
        #expect(judge(200, chunked) == .startOver(length: 20, framing: .chunked))
        // HTTP/2 without a length, or a body that ends with the connection: the known length says where the body must
        // end.
        #expect(judge(200, ["etag": "\"v1\""]) == .startOver(length: 20, framing: .unannounced))
    }

    @Test("a body of unknown length can start over only if a last chunk marks its end")
    func unknownLengthNeedsLastChunk() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(
            judge(200, ["etag": "\"v1\"", "transfer-encoding": "chunked"], known: known)
                == .startOver(length: nil, framing: .chunked))
        #expect(refusal(judge(200, ["etag": "\"v1\""], known: known)) == .notResumable)
        #expect(
            refusal(judge(200, ["etag": "\"v1\"", "transfer-encoding": "identity"], known: known))
                == .notResumable)
    }

    @Test("a whole body with another length than before is refused")
    func refusesWholeOfOtherLength() {
        for length in ["19", "21", "0"] {
            #expect(refusal(judge(200, ["etag": "\"v1\"", "content-length": length])) == .lengthChanged)
        }
        let known = Self.known(length: nil, framing: .chunked)
        #expect(
            refusal(judge(200, ["etag": "\"v1\"", "content-length": "4"], known: known)) == .lengthChanged,
            "shorter than what was delivered")
        #expect(refusal(judge(200, ["etag": "\"v1\"", "content-length": "x"])) == .protocolError)
    }

    // MARK: 416

    @Test("a 416 after the last delivered byte completes the body if the lengths agree")
    func acceptsEndWhenLengthsAgree() {
        let nothing = ["content-range": "bytes */5"]
        #expect(judge(416, nothing, known: Self.known(length: nil, framing: .chunked)) == .isComplete)
        #expect(judge(416, nothing, known: Self.known(length: 5)) == .isComplete)
        #expect(
            judge(
                416, nothing.merging(["etag": "\"v1\""]) { $1 },
                known: Self.known(length: nil, framing: .chunked))
                == .isComplete)
    }

    @Test(
        "a 416 without a length, or with another one, is not the end of the body",
        arguments: [
            nil, "", "bytes */4", "bytes */6", "bytes */20", "bytes */*", "bytes 5-19/20", "items */5",
        ])
    func refusesEndOfOtherLength(_ range: String?) {
        let fields = ["content-range": range].compactMapValues { $0 }
        #expect(refusal(judge(416, fields)) == .rangeNotSatisfiable)
        #expect(
            refusal(judge(416, fields, known: Self.known(length: nil, framing: .chunked)))
                == .rangeNotSatisfiable)
    }

    @Test("a 416 before the announced length is not the end of the body")
    func refusesEndBeforeAnnouncedLength() {
        #expect(refusal(judge(416, ["content-range": "bytes */5"])) == .rangeNotSatisfiable)
    }

    @Test("a 416 for another version is not the end of this one")
    func refusesEndOfOtherVersion() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(
            refusal(judge(416, ["content-range": "bytes */5", "etag": "\"v2\""], known: known))
                == .resourceChanged)
        let byDate = Self.known(Self.date, length: nil, framing: .chunked)
        #expect(
            refusal(judge(416, ["content-range": "bytes */5", "last-modified": "0"], known: byDate))
                == .resourceChanged)
    }

    @Test("a 416 to a request without a range completes no body, because its digest is not yet checked")
    func refusesEndWithoutRequestedRange() {
        #expect(
            refusal(
                judge(416, ["content-range": "bytes */5"], known: Self.known(length: 5), asksForAll: true))
                == .rangeNotSatisfiable)
    }

    // MARK: Others

    @Test(
        "any other status is reported as httpStatus",
        arguments: [201, 203, 204, 226, 301, 304, 401, 404, 408, 412, 429, 503, 0])
    func reportsOtherStatus(_ status: Int) {
        #expect(refusal(judge(status, Self.part)) == .httpStatus)
        #expect(refusal(judge(status, Self.part, asksForAll: true)) == .httpStatus)
    }

    @Test("text from the server is quoted shortened, and on one line")
    func quotesServerTextShortened() {
        for text in [String(repeating: "x", count: 100_000), "a\r\nb\u{1b}[2J\n"] {
            for (name, status) in [
                ("etag", 206), ("content-range", 206), ("content-length", 206), ("etag", 200),
            ] {
                guard case .refuse(_, let message) = judge(status, Self.part.merging([name: text]) { $1 })
                else {
                    Issue.record("\(name) was taken")
                    continue
                }
                #expect(message.utf8.count < 400 && message.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f })
            }
        }
    }
}
