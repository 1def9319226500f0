import TestKit
import Testing

@testable import SluiceCore

@Suite("Where a redirect leads")
struct RedirectTests {
    private func target(_ base: String, _ locations: [[UInt8]], allowingDowngrade: Bool = false) throws
        -> String
    {
        let target = try RequestURL(base).redirected(to: locations, allowingDowngrade: allowingDowngrade)
        #expect(try RequestURL(target.text) == target, "what is followed is what the door takes")
        return target.text
    }

    private func refusal(
        _ base: String, _ locations: [[UInt8]], sourceLocation: SourceLocation = #_sourceLocation
    ) -> String? {
        let error = #expect(throws: RequestError.self, sourceLocation: sourceLocation) {
            try target(base, locations)
        }
        if let reason = error?.reason {
            #expect(reason.utf8.count < 400, sourceLocation: sourceLocation)
            #expect(reason.unicodeScalars.allSatisfy { $0.value >= 0x20 }, sourceLocation: sourceLocation)
        }
        return error?.reason
    }

    @Test(
        "a target is resolved and put into a form that can be sent",
        arguments: [
            ("https://h/a/b", "c", "https://h/a/c"), ("https://h/a/b", "https://other/x", "https://other/x"),
            ("http://h/", "https://h/x", "https://h/x"), ("http://h/", "/a b", "http://h/a%20b"),
            ("http://h/", "/é", "http://h/%C3%A9"), ("http://h/", "//g/x", "http://g/x"),
            ("http://h/a?b", "?c", "http://h/a?c"), ("http://h/a?b", "#c", "http://h/a?b"),
            ("http://h/", "/x#a#b", "http://h/x"), ("http://h/", "HTTP://G/x", "http://G/x"),
            ("http://h:8/", "http://g:/x", "http://g:/x"), ("http://h/", "http://g?x", "http://g/?x"),
            // Blanks around it, and characters inside it that browsers remove.
            ("http://h/", " \t/x \t", "http://h/x"), ("http://h/", "/a\tb\r\nc", "http://h/abc"),
            ("http://h/", "ht\ntp://g/", "http://g/"), ("http://h/", "\u{1}\u{1f} /x\0", "http://h/x"),
            // Characters that are not allowed there.
            ("http://h/", "/[a]|{b}^`\"<>\\", "http://h/%5Ba%5D%7C%7Bb%7D%5E%60%22%3C%3E%5C"),
            ("http://h/", "/?[a]|{b}^`\"<>\\ ?", "http://h/?%5Ba%5D%7C%7Bb%7D%5E%60%22%3C%3E%5C%20?"),
            ("http://h/", "/%zz%4%41%", "http://h/%25zz%254%41%25"),
            ("http://h/", "/?100%&x=%e4", "http://h/?100%25&x=%e4"),
            ("http://h/", "/a\u{1}\u{7f}", "http://h/a%01%7F"), ("http://h/", "/😀", "http://h/%F0%9F%98%80"),
            ("http://h/", "/e\u{301}", "http://h/e%CC%81"), ("http://h/", "/\u{fffd}", "http://h/%EF%BF%BD"),
            ("http://h/a/b", "../\\..\\x", "http://h/%5C..%5Cx"),
            ("http://h/", "/:@!$&'()*+,;=~", "http://h/:@!$&'()*+,;=~"),
            // Too many slashes.
            ("https://h/", "https:///g/x", "https://g/x"), ("http://h/", "///g/x", "http://g/x"),
            // Empty user information.
            ("http://h/", "http://@g/x", "http://g/x"), ("http://h/", "http://:@g:81/x", "http://g:81/x"),
            ("http://h/", "//@[::1]:81", "http://[::1]:81/"), ("http://h/", "/@x", "http://h/@x"),
            // The host in another form.
            ("http://h/", "http://ex%61mple.com/", "http://example.com/"),
            ("http://h/", "http://127%2e1/", "http://127.0.0.1/"),
        ])
    func resolvesTargets(_ base: String, _ location: String, _ expected: String) throws {
        #expect(try target(base, [Array(location.utf8)]) == expected)
    }

    @Test(
        "a downgrade, another scheme, user information or a malformed target is refused",
        arguments: [
            ("https://h/", "http://h/"), ("https://h/", "http://g/"), ("http://h/", "ftp://h/"),
            ("http://h/", "file:///etc/passwd"), ("http://h/", "javascript:1"), ("http://h/", "data:,x"),
            ("http://h/", "mailto:a@b"), ("http://h/", "http:"), ("http://h/", "http:x"),
            ("http://h/", "http:/x"),
            ("http://h/", "http://"), ("http://h/", "//"), ("http://h/", "http://?x"),
            ("http://h/", "http://@/"),
            ("http://h/", "http://u@g/"), ("http://h/", "http://u:p@g/"), ("http://h/", "http://:p@g/"),
            ("http://h/", "http://%3A@g/"), ("http://h/", "http://a@b@g/"), ("http://h/", "http://@@g/"),
            ("http://h/", "http://g\\x/"), ("http://h/", "http://g\\@x/"), ("http://h/", "http://g x/"),
            ("http://h/", "http://g%2fx/"), ("http://h/", "http://g%00/"), ("http://h/", "http://g%/"),
            ("http://h/", "http://g|/"), ("http://h/", "http://g:80x/"), ("http://h/", "http://g:65536/"),
            ("http://h/", "http://g%ff/"), ("http://h/", "http://g]/"), ("http://h/", "http://[::1/"),
            ("http://h/", "http://g%3a80/"), ("http://h/", "http://g%40x/"),
        ])
    func refusesUnsafeTargets(_ base: String, _ location: String) {
        #expect(refusal(base, [Array(location.utf8)]) != nil)
    }

    @Test("the refusal of a Location does not repeat a secret in it")
    func refusalRevealsNoSecret() {
        for location in [
            "http://u:s3cret@g/", "s3cret:x", "http://g/?s3cret=\(String(repeating: "a", count: 9000))",
        ] {
            let reason = refusal("http://h/", [Array(location.utf8)])
            #expect(reason?.contains("s3cret") == location.hasPrefix("s3cret"))
        }
    }

    @Test("equal values count as one and empty values as none, and different values are refused")
    func combinesSeveralLocations() throws {
        let (x, y) = (Array("/x".utf8), Array("/y".utf8))
        #expect(try target("http://h/", [x, x]) == "http://h/x")
        #expect(try target("http://h/", [Array(" /x\t".utf8), x, x]) == "http://h/x")
        #expect(try target("http://h/", [[], x, Array(" ".utf8)]) == "http://h/x")
        #expect(refusal("http://h/", [x, y])?.contains("two") == true)
        #expect(refusal("http://h/", [x, x, y]) != nil)
        // These are equal to Unicode, but not to a server.
        #expect(refusal("http://h/", [Array("/é".utf8), Array("/e\u{301}".utf8)]) != nil)
        for none in [[], [[]], [[], Array(" \t".utf8)]] as [[[UInt8]]] {
            #expect(refusal("http://h/", none)?.contains("no Location") == true)
        }
    }

    @Test("bytes that are not UTF-8 are refused, wherever they stand")
    func refusesInvalidUTF8() {
        for bytes in [[0xe9], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xff]] as [[UInt8]] {
            for prefix in ["/", "/?", "http://g", "http://g/"] {
                #expect(refusal("http://h/", [Array(prefix.utf8) + bytes])?.contains("UTF-8") == true)
            }
        }
    }

    @Test("a redirect from https to http is followed only where that is allowed")
    func downgradesOnlyWhereAllowed() throws {
        let location = [Array("http://g/x?token=s3cret".utf8)]
        #expect(refusal("https://h/", location)?.contains("s3cret") == false)
        #expect(try target("https://h/", location, allowingDowngrade: true) == "http://g/x?token=s3cret")
        #expect(try target("http://h/", location) == "http://g/x?token=s3cret")
        #expect(try target("https://h/", [Array("//g/x".utf8)]) == "https://g/x")
    }

    @Test(
        "the limit of the length is exact, excludes the fragment, and applies before and after the encoding")
    func limitsLengthOfLocation() throws {
        let start = "http://h/"
        let longest = String(repeating: "a", count: RequestURL.maximumLength - start.utf8.count)
        #expect(try target(start, [Array((start + longest + "#" + longest).utf8)]) == start + longest)
        #expect(refusal(start, [Array((start + longest + "a").utf8)]) != nil)
        #expect(refusal(start, [Array(String(repeating: " a", count: 3000).utf8)]) != nil)
    }

    @Test("parsing a long Location takes no disproportionate time")
    func longLocationIsParsedQuickly() {
        let took = ProcessorTime.of {
            for piece in ["%", "/..", "\u{301}", " ", "\t", "[", "@", "?", "#", "//", "é", "a:", "../"] {
                for start in ["", "/", "http://", "http://g/"] {
                    let count = 100_000 / piece.utf8.count
                    for count in [count, RequestURL.maximumLength / piece.utf8.count - 10] {
                        let bytes = Array((start + String(repeating: piece, count: count)).utf8)
                        _ = try? RequestURL("http://h/").redirected(
                            to: [bytes, bytes], allowingDowngrade: true)
                    }
                }
            }
        }
        #expect(took < .seconds(10), "\(took)")
    }
}
