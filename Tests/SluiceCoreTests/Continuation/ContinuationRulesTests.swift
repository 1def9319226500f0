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

    @Test("the exact rest of the same version goes on")
    func rest() {
        #expect(judge(206, Self.part) == .goOn(remaining: 15, length: 20, framing: .length))
        var fields = Self.part
        fields["content-length"] = nil
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
        fields["content-range"] = "bytes 5-19/*"
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test(
        "the length of a part may be there twice, and have blanks around it",
        arguments: ["15, 15", " 15\t", "15,015"])
    func repeatedLength(_ length: String) {
        let fields = Self.part.merging(["content-length": length]) { $1 }
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a chunked part is as long as its Content-Range says, whatever length is announced beside it")
    func chunkedPart() {
        var fields = Self.part
        fields["transfer-encoding"] = "chunked"
        fields["content-length"] = "99"
        #expect(judge(206, fields) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a body whose length was not announced learns it from the part")
    func lengthLearnt() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(judge(206, Self.part, known: known) == .goOn(remaining: 15, length: 20, framing: .length))
    }

    @Test("a part of the rest goes on as far as it goes: the body's length tells that more is missing")
    func partOfTheRest() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-9/20"
        fields["content-length"] = "5"
        #expect(judge(206, fields) == .goOn(remaining: 5, length: 20, framing: .length))
    }

    @Test("a part of which nobody says whether it is the last goes on, and is no end")
    func lengthNeverTold() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-19/*"
        let known = Self.known(length: nil, framing: .chunked)
        #expect(judge(206, fields, known: known) == .goOn(remaining: 15, length: nil, framing: .length))
    }

    @Test(
        "a part that begins elsewhere is not the next byte",
        arguments: ["bytes 4-19/20", "bytes 6-19/20", "bytes 0-19/20", "bytes 0-0/20"])
    func wrongOffset(_ range: String) {
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
    func noRange(_ range: String?) {
        var fields = Self.part
        fields["content-range"] = range
        #expect(refusal(judge(206, fields)) == .wrongRange)
    }

    @Test("another complete length in the same version is a contradiction")
    func lengthChanged() {
        for range in ["bytes 5-20/21", "bytes 5-18/19", "bytes 5-19/21"] {
            var fields = Self.part
            fields["content-range"] = range
            fields["content-length"] = nil
            #expect(refusal(judge(206, fields)) == .lengthChanged, "\(range)")
        }
    }

    @Test("a part that reaches beyond the body's end is one too, also where it names no complete length")
    func beyondTheEnd() {
        var fields = Self.part
        fields["content-range"] = "bytes 5-20/*"
        fields["content-length"] = "16"
        #expect(refusal(judge(206, fields)) == .lengthChanged)
        fields["content-range"] = "bytes 5-9223372036854775806/*"
        fields["content-length"] = nil
        #expect(refusal(judge(206, fields)) != nil)
    }

    @Test(
        "a part with another length than its range is refused",
        arguments: ["14", "16", "x", "", "-15", "+15", "15, 16", "15,", "0xf"])
    func contradiction(_ length: String) {
        var fields = Self.part
        fields["content-length"] = length
        #expect(refusal(judge(206, fields)) == .wrongRange)
    }

    @Test("several parts are refused as such, with or without a Content-Range")
    func multipart() {
        for type in [
            "multipart/byteranges; boundary=x", "Multipart/ByteRanges;boundary=x", " multipart/byteranges",
        ] {
            #expect(refusal(judge(206, ["content-type": type])) == .multipartRange)
            #expect(
                refusal(judge(206, Self.part.merging(["content-type": type]) { $1 })) == .multipartRange)
        }
        #expect(refusal(judge(206, Self.part.merging(["content-type": "text/plain"]) { $1 })) == nil)
    }

    @Test("a part where the whole was asked for is refused")
    func unasked() {
        #expect(refusal(judge(206, Self.part, asksForAll: true)) == .unexpectedPartial)
    }

    @Test("a part that is the whole is the whole that was asked for")
    func wholePart() {
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
        "another entity-tag is another version, however alike it looks",
        arguments: [
            "\"v2\"", "W/\"v1\"", "w/\"v1\"", "v1", "\"V1\"", "\"v1\", \"v2\"", "\"v1\"x",
            "\"v\u{31}\u{301}\"",
            "\u{1fef}",
        ])
    func otherVersion(_ tag: String) {
        let whole = ["etag": tag, "content-length": "20"]
        #expect(refusal(judge(206, Self.part.merging(["etag": tag]) { $1 })) == .resourceChanged)
        #expect(refusal(judge(200, whole)) == .resourceChanged)
        #expect(refusal(judge(200, whole, asksForAll: true)) == .resourceChanged)
    }

    @Test("entity-tags are compared byte for byte, not as Unicode compares texts")
    func canonicalEquivalence() {
        // U+212A, KELVIN SIGN, is canonically equivalent to the letter K.
        let known = Self.known(.strong(Validator(kind: .etag, text: "\"K\"")))
        let kelvin = Self.part.merging(["etag": "\"\u{212a}\""]) { $1 }
        #expect(refusal(judge(206, kelvin, known: known)) == .resourceChanged)
    }

    @Test("blanks around the entity-tag are not part of it")
    func blanks() {
        #expect(refusal(judge(206, Self.part.merging(["etag": " \"v1\"\t"]) { $1 })) == nil)
    }

    @Test("an answer that does not say of which version it is may be of any", arguments: [nil, "", " \t"])
    func unknownVersion(_ tag: String?) {
        var fields = Self.part
        fields["etag"] = tag
        // The request asked about the entity-tag, so the other validator does not count.
        fields["last-modified"] = Self.changed
        #expect(refusal(judge(206, fields)) == .unknownVersion)
        #expect(
            refusal(judge(200, ["etag": tag, "content-length": "20"].compactMapValues { $0 }))
                == .unknownVersion)
    }

    @Test("a body known by its date goes on by the same date alone")
    func byDate() {
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

    @Test("what was never good enough to continue is not continued, whatever the answer says")
    func notContinuable() {
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

    @Test("the same version at another place is another body")
    func otherPlace() {
        for url in ["http://h/other", "https://h/file", "http://h/file?", "http://H/file", ""] {
            #expect(refusal(judge(206, Self.part, url: url)) == .resourceChanged)
            #expect(
                refusal(judge(200, ["etag": "\"v1\"", "content-length": "20"], url: url)) == .resourceChanged)
            #expect(
                refusal(judge(416, ["content-range": "bytes */5"], known: Self.known(length: nil), url: url))
                    == .resourceChanged)
        }
    }

    @Test("another place that is only out of order says nothing about the body, and may be asked again")
    func otherPlaceInTrouble() {
        #expect(refusal(judge(503, [:], url: "http://h/sorry")) == .httpStatus)
        #expect(refusal(judge(404, [:], url: "http://h/sorry")) == .httpStatus)
    }

    @Test(
        "another coding has other bytes, whatever the entity-tag says",
        arguments: ["gzip", "br", "identity, gzip", "x", "GZIP", "é", "a b"])
    func otherCoding(_ coding: String) {
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

    @Test("a coded body goes on in the same coding, however it is written")
    func sameCoding() {
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

    @Test("a transfer that is coded is refused", arguments: ["gzip", "br", "identity, gzip", "x", "GZIP"])
    func encoded(_ coding: String) {
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

    @Test("a server that sends all of the same version again is read from its beginning")
    func startOver() {
        let fields = ["etag": "\"v1\"", "content-length": "20"]
        #expect(judge(200, fields) == .startOver(length: 20, framing: .length))
        #expect(judge(200, fields, asksForAll: true) == .startOver(length: 20, framing: .length))
        #expect(
            judge(200, fields, known: Self.known(length: nil, framing: .chunked))
                == .startOver(length: 20, framing: .length))
    }

    @Test("the length that was announced the first time is what the second body is held to")
    func startOverUnannounced() {
        let chunked = ["etag": "\"v1\"", "transfer-encoding": "chunked"]
        #expect(judge(200, chunked) == .startOver(length: 20, framing: .chunked))
        // HTTP/2 without a length, or a body that ends with the connection: the known length says where the body must
        // end.
        #expect(judge(200, ["etag": "\"v1\""]) == .startOver(length: 20, framing: .unannounced))
    }

    @Test("a body whose length nobody ever told ends with its last chunk, or not at all")
    func startOverWithoutLength() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(
            judge(200, ["etag": "\"v1\"", "transfer-encoding": "chunked"], known: known)
                == .startOver(length: nil, framing: .chunked))
        #expect(refusal(judge(200, ["etag": "\"v1\""], known: known)) == .notResumable)
        #expect(
            refusal(judge(200, ["etag": "\"v1\"", "transfer-encoding": "identity"], known: known))
                == .notResumable)
    }

    @Test("all of it, and not as long as before, is a contradiction")
    func startOverWithOtherLength() {
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

    @Test("nothing behind what was delivered means that it was all, if the lengths agree")
    func complete() {
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
        "nothing behind what was delivered, and no length or another one, is not the end",
        arguments: [
            nil, "", "bytes */4", "bytes */6", "bytes */20", "bytes */*", "bytes 5-19/20", "items */5",
        ])
    func notThere(_ range: String?) {
        let fields = ["content-range": range].compactMapValues { $0 }
        #expect(refusal(judge(416, fields)) == .rangeNotSatisfiable)
        #expect(
            refusal(judge(416, fields, known: Self.known(length: nil, framing: .chunked)))
                == .rangeNotSatisfiable)
    }

    @Test("the length that was announced is the one that counts")
    func notTheEnd() {
        #expect(refusal(judge(416, ["content-range": "bytes */5"])) == .rangeNotSatisfiable)
    }

    @Test("the end of another version is not the end of this one")
    func endOfAnother() {
        let known = Self.known(length: nil, framing: .chunked)
        #expect(
            refusal(judge(416, ["content-range": "bytes */5", "etag": "\"v2\""], known: known))
                == .resourceChanged)
        let byDate = Self.known(Self.date, length: nil, framing: .chunked)
        #expect(
            refusal(judge(416, ["content-range": "bytes */5", "last-modified": "0"], known: byDate))
                == .resourceChanged)
    }

    @Test("where no range was asked for, nothing can be unsatisfied: a digest would never be checked")
    func unaskedEnd() {
        #expect(
            refusal(
                judge(416, ["content-range": "bytes */5"], known: Self.known(length: 5), asksForAll: true))
                == .rangeNotSatisfiable)
    }

    // MARK: Others

    @Test(
        "any other status keeps its name",
        arguments: [201, 203, 204, 226, 301, 304, 401, 404, 408, 412, 429, 503, 0])
    func otherStatus(_ status: Int) {
        #expect(refusal(judge(status, Self.part)) == .httpStatus)
        #expect(refusal(judge(status, Self.part, asksForAll: true)) == .httpStatus)
    }

    @Test("a server's words are quoted shortened, and on one line")
    func quoting() {
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
