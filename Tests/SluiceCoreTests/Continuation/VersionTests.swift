import SluiceInterface
import Testing

@testable import SluiceCore

@Suite("Which version a body is of")
struct VersionTests {
    private static let changed = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let aSecondLater = "Sun, 06 Nov 1994 08:49:38 GMT"

    private func version(_ fields: [String: String]) -> Version {
        Version { fields[$0] }
    }

    private func etag(_ text: String) -> Version {
        .strong(Validator(kind: .etag, text: text))
    }

    @Test(
        "a strong entity-tag is kept unchanged",
        arguments: [
            "\"abc\"", "\"\"", "\"W/\"", "\"a\\b\"", "\"!#~\"", "\"5f3-1a\"", "\"W\"",
            "\"" + String(repeating: "a", count: Validator.maximumLength - 2) + "\"",
        ])
    func keepsStrongEntityTag(_ text: String) {
        #expect(version(["etag": text]) == etag(text))
        #expect(version(["etag": " \t\(text)\t "]) == etag(text), "blanks around it are not part of it")
        #expect(version(["etag": text]).validator?.fieldName == "etag")
    }

    @Test(
        "a weak or invalid entity-tag does not identify the bytes",
        arguments: [
            "W/\"abc\"", "W/\"\"", "w/\"abc\"", "W/", "abc", "\"abc", "abc\"", "\"", "'abc'", "\"a\"b\"",
            "\"a\" \"b\"",
            "\"a\", \"b\"", "\"a b\"", "\"a\tb\"", "\"a\u{7f}\"", "\"é\"", "\"a\u{301}\"", "\"\u{301}a\"",
            "\"\u{212a}\"", "\"a\u{fffd}\"", "\u{fffd}\"a\"", "\"a\", \"a\"",
            "\"a\0\"", "\"a\r\n\"", "*", "“abc”",
            "\"" + String(repeating: "a", count: Validator.maximumLength - 1) + "\"",
        ])
    func weakEntityTagIdentifiesNothing(_ text: String) {
        #expect(version(["etag": text]) == .weak)
        #expect(version(["etag": text]).validator == nil)
        #expect(
            version(["etag": text, "last-modified": Self.changed, "date": Self.aSecondLater]) == .weak,
            "a date beside it does not help")
    }

    @Test("missing and empty fields name no version")
    func emptyFieldsNameNoVersion() {
        #expect(version([:]) == .unnamed)
        #expect(version(["date": Self.changed]) == .unnamed)
        #expect(version(["etag": ""]) == .unnamed)
        #expect(version(["etag": " ", "last-modified": "\t"]) == .unnamed)
    }

    @Test("a date is strong only if the response was made at least one second later")
    func strongDateNeedsLaterResponse() {
        let strong = Version.strong(Validator(kind: .lastModified, text: Self.changed))
        #expect(version(["last-modified": Self.changed, "date": Self.aSecondLater]) == strong)
        #expect(version(["last-modified": Self.changed, "date": "Fri, 01 Jan 2027 00:00:00 GMT"]) == strong)
        #expect(version(["last-modified": Self.changed, "date": Self.changed]) == .weak)
        #expect(version(["last-modified": Self.aSecondLater, "date": Self.changed]) == .weak)
        #expect(version(["last-modified": Self.changed]) == .weak)
        #expect(version(["last-modified": Self.changed, "date": "soon"]) == .weak)
        #expect(version(["last-modified": "once", "date": Self.changed]) == .weak)
        #expect(version(["last-modified": "0", "date": Self.changed]) == .weak)
        let padded =
            "Sun," + String(repeating: " ", count: Validator.maximumLength) + "06 Nov 1994 08:49:37 GMT"
        for damaged in [padded, Self.changed + "\u{fffd}", "é" + Self.changed] {
            #expect(version(["last-modified": damaged, "date": Self.aSecondLater]) == .weak)
        }
        #expect(
            version(["last-modified": "\t\(Self.changed) ", "date": " \t\(Self.aSecondLater)\t"]) == strong)
        #expect(strong.validator?.fieldName == "last-modified")
    }

    @Test("the three forms of a date can be mixed, and the text is kept as received")
    func mixesDateForms() {
        let old = "Sunday, 06-Nov-94 08:49:37 GMT"
        #expect(
            version(["last-modified": " \(old) ", "date": "Sun Nov  6 08:49:38 1994"])
                == .strong(Validator(kind: .lastModified, text: old)))
    }

    @Test("a strong entity-tag takes precedence over a date, and an empty one is ignored")
    func entityTagPrecedesDate() {
        let dates = ["last-modified": Self.changed, "date": Self.aSecondLater]
        #expect(version(dates.merging(["etag": "\"a\""]) { $1 }) == etag("\"a\""))
        #expect(
            version(dates.merging(["etag": ""]) { $1 })
                == .strong(Validator(kind: .lastModified, text: Self.changed)))
    }

    @Test("a body that cannot continue names the reason, and not every body that can continue can be parked")
    func namesObstacleToContinuing() {
        func body(_ version: Version, _ framing: BodyFraming = .length) -> Representation {
            Representation(
                url: "http://h/", sendsHeaders: true, version: version, length: 5, framing: framing)
        }
        #expect(body(.weak).obstacle?.code == .weakValidator)
        #expect(body(.unnamed).obstacle?.code == .noValidator)
        #expect(body(etag("\"a\""), .unannounced).obstacle?.code == .notResumable)
        #expect(body(etag("\"a\""), .length).obstacle == nil)
        #expect(body(etag("\"a\""), .chunked).obstacle == nil)
        var parkable = body(etag("\"a\""))
        #expect(parkable.isParkable)
        parkable.refusesRanges = true
        #expect(!parkable.isParkable && parkable.obstacle == nil)
        parkable.refusesRanges = false
        parkable.digests = [BodyDigest(algorithm: .sha256, bytes: [])]
        #expect(!parkable.isParkable && parkable.obstacle == nil)
        #expect(!body(.weak).isParkable && !body(.unnamed).isParkable)
    }
}
