import TestKit
import Testing

@testable import SluiceCore

@Suite("Hosts of URLs")
struct HostTests {
    private func refusal(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) -> RequestError? {
        let error = #expect(throws: RequestError.self, "\(text.prefix(80))", sourceLocation: sourceLocation) {
            try RequestURL(text)
        }
        if let error {
            #expect(
                error.parameter == "url" && error.description.utf8.count < 500, sourceLocation: sourceLocation
            )
            #expect(
                error.description.unicodeScalars.allSatisfy {
                    $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value)
                },
                sourceLocation: sourceLocation)
        }
        return error
    }

    // MARK: IPv6

    @Test(
        "IPv6 addresses are accepted in their canonical form",
        arguments: [
            "[::]", "[::1]", "[2001:db8::1]", "[2001:db8:0:1:1:1:1:1]", "[fe80::1]", "[::ffff:192.0.2.1]",
            "[1:2:3:4:5:6:7:8]", "[2001:0:0:1::1]", "[64:ff9b::c000:201]",
        ])
    func acceptsCanonicalIPv6(_ host: String) throws {
        let url = try RequestURL("http://\(host)/a")
        #expect(url.text == "http://\(host)/a")
        #expect(url.origin.host == host && url.origin.isAddress)
        #expect(url.origin.description == "http://\(host):80")
        #expect(try RequestURL("https://\(host):8443").text == "https://\(host):8443/")
        #expect(try RequestURL("https://\(host):8443").origin.port == 8443)
        #expect(try RequestURL("https://\(host)?q#f").text == "https://\(host)/?q")
        #expect(try RequestURL(url.origin.description).origin == url.origin, "an origin is a URL again")
    }

    @Test(
        "other forms of IPv6 are refused with the canonical form as the remedy, and canonicalised in a redirect",
        arguments: [
            ("[::01]", "[::1]"), ("[0:0:0:0:0:0:0:1]", "[::1]"), ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:db8::0:1]", "[2001:db8::1]"), ("[::FFFF:1.2.3.4]", "[::ffff:1.2.3.4]"),
            ("[::ffff:102:304]", "[::ffff:1.2.3.4]"), ("[2001:db8:0:0:1::1]", "[2001:db8::1:0:0:1]"),
            ("[1:2:3:4:5:6:1.2.3.4]", "[1:2:3:4:5:6:102:304]"),
        ])
    func refusesOtherFormsOfIPv6(_ host: String, _ canonical: String) throws {
        #expect(refusal("http://\(host)/")?.remedy == "write \(canonical)")
        let base = try RequestURL("http://h/a")
        #expect(try base.redirected(to: "http://\(host):81/x").text == "http://\(canonical):81/x")
        #expect(try base.redirected(to: "//\(host)").text == "http://\(canonical)/")
        #expect(try RequestURL("http://\(canonical)/").redirected(to: "b").text == "http://\(canonical)/b")
    }

    @Test(
        "text that does not belong in or after the brackets is refused, and the remedy is the bare address")
    func refusesBrokenBrackets() throws {
        let base = try RequestURL("http://h/")
        for (text, form) in [
            ("http://[::1]x/", "[::1]"), ("http://[::1]80/", "[::1]"), ("http://[::1", "[::1]"),
            ("http://[fe80::1%25eth0]/", "[fe80::1]"), ("http://[::1]]/", "[::1]"),
            ("http://[0::1]x", "[::1]"),
        ] {
            #expect(refusal(text)?.remedy.hasSuffix("write \(form)") == true, "\(text)")
            #expect(throws: RequestError.self) { try base.redirected(to: text) }
        }
        #expect(throws: RequestError.self) { try base.redirected(to: "http://[fe80::1%eth0]/") }
        for text in [
            "http://[]/", "http://[", "http://[:]/", "http://[1.2.3.4]/", "http://[::1::]/",
            "http://[::12345]/",
            "http://[v1.x]/", "http://[1:2:3:4:5:6:7:8:9]/", "http://[::g]/", "http://[::1.2.3]/",
            "http://::1/",
            "http://h[::1]/", "http://[[::1]]/", "http://[::1]:x/", "http://[::1]:0/", "http://[::1]:99999/",
            "http://[\(String(repeating: "0", count: 8000))]/", "http://[h]/",
        ] {
            _ = refusal(text)
            #expect(throws: RequestError.self, "\(text.prefix(40))") { try base.redirected(to: text) }
        }
    }

    // MARK: IPv4

    @Test(
        "odd forms of IPv4 addresses are refused with the plain form as the remedy, and made plain in a redirect",
        arguments: [
            ("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0x7f.0.0.1", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"), ("127.0.0.1.", "127.0.0.1"), ("0x7F000001", "127.0.0.1"),
            ("017700000001", "127.0.0.1"), ("127.0.1", "127.0.0.1"), ("1.2.3", "1.2.0.3"),
            ("1.65536", "1.1.0.0"),
            ("0", "0.0.0.0"), ("0x", "0.0.0.0"), ("00.0.0.0", "0.0.0.0"), ("127.0.0.01", "127.0.0.1"),
            ("4294967295", "255.255.255.255"), ("1.2.3.0x", "1.2.3.0"), ("0X7f.1", "127.0.0.1"),
            ("１２７.0.0.1", "127.0.0.1"), ("127。0。0。1", "127.0.0.1"),
        ])
    func refusesOddFormsOfIPv4(_ host: String, _ plain: String) throws {
        #expect(refusal("http://\(host)/")?.remedy == "write \(plain)")
        #expect(refusal("https://\(host):1?q")?.remedy == "write \(plain)")
        let base = try RequestURL("http://h/")
        #expect(try base.redirected(to: "http://\(host):81/").text == "http://\(plain):81/")
        #expect(try RequestURL("http://\(plain)/").origin.isAddress)
    }

    @Test(
        "numbers that are not an address are refused everywhere",
        arguments: [
            "256.0.0.1", "1.2.3.256", "1.2.3.4.5", "4294967296", "1.16777216", "09", "08.1", "1.2.3.09",
            "0x1g",
            "0x100000000", String(repeating: "9", count: 250), "1.2.3.4..",
        ])
    func refusesNumbersThatAreNoAddress(_ host: String) throws {
        let isName = host == "0x1g"
        let base = try RequestURL("http://h/")
        if isName {
            #expect(try RequestURL("http://\(host)/").origin.isAddress == false)
        } else {
            _ = refusal("http://\(host)/")
            #expect(throws: RequestError.self) { try base.redirected(to: "http://\(host)/") }
        }
    }

    @Test(
        "names that contain numbers are accepted as names, not as addresses",
        arguments: ["1.example", "a.1", "127.0.0.1.nip.io", "1-2", "x0x1", "_1"])
    func acceptsNamesWithNumbers(_ host: String) throws {
        #expect(try RequestURL("http://\(host)/").text == "http://\(host)/")
        #expect(try RequestURL("http://\(host)/").origin.isAddress == false)
    }

    // MARK: Names in other alphabets

    @Test(
        "names beyond ASCII are converted to the form that is looked up (UTS #46, nontransitional)",
        arguments: [
            ("bücher.example", "xn--bcher-kva.example"), ("BÜCHER.Example", "xn--bcher-kva.example"),
            ("faß.de", "xn--fa-hia.de"), ("日本語。jp", "xn--wgv71a119e.jp"),
            ("u\u{308}.example", "xn--tda.example"),
            ("a_b.é", "a_b.xn--9ca"), ("한국.kr", "xn--3e0b707e.kr"), ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("xn--bcher-kva.é", "xn--bcher-kva.xn--9ca"), ("é.", "xn--9ca."),
        ])
    func convertsInternationalNames(_ host: String, _ ascii: String) throws {
        let url = try RequestURL("https://\(host):44/x")
        #expect(url.text == "https://\(ascii):44/x" && url.origin.host == ascii)
        #expect(try RequestURL(url.text) == url)
        let base = try RequestURL("http://h/")
        #expect(try base.redirected(to: "http://\(host)/é").text == "http://\(ascii)/%C3%A9")
        let encoded = host.utf8.map { $0 < 0x80 ? String(UnicodeScalar($0)) : "%" + String($0, radix: 16) }
            .joined()
        #expect(try base.redirected(to: "http://\(encoded)/").text == "http://\(ascii)/")
        #expect(throws: RequestError.self) { try RequestURL("http://\(encoded)/") }
    }

    @Test(
        "names that cannot be looked up are refused",
        arguments: [
            "\u{ad}", "-é.com", "℀.com", "é b", "é\0", "é\n", "é%41", "é\\", "é<", "٣.com", "a\u{200d}b.com",
            "é\u{202e}x", "é.\(String(repeating: "a", count: 64))", "\u{301}", "\u{fffd}.com",
            String(repeating: "é", count: 300), String(repeating: "\u{301}", count: 4000),
        ])
    func refusesImpossibleNames(_ host: String) throws {
        _ = refusal("http://\(host)/")
        let base = try RequestURL("http://h/")
        // A redirect removes or decodes characters, so these two hosts become valid names there.
        if host != "é\n", host != "é%41" {
            #expect(throws: RequestError.self) { try base.redirected(to: "http://\(host)/") }
        }
    }

    @Test("letters beyond ASCII outside the host are refused: the caller must encode them")
    func refusesNonASCIIOutsideHost() {
        for text in [
            "http://h/é", "http://h/?é", "http://h/#é", "é://h/", "é", "http://h/\u{202e}", "http://é/é",
        ] {
            _ = refusal(text)
        }
    }

    @Test("parsing a long host takes no disproportionate time")
    func longHostIsParsedQuickly() {
        let took = ProcessorTime.of {
            for piece in ["\u{301}", "é", "a.", "1.", "é.", "%41", "[", ":", "0x"] {
                let host = String(repeating: piece, count: 8000 / piece.utf8.count)
                for _ in 0..<10 {
                    _ = try? RequestURL("http://\(host)/")
                    _ = try? RequestURL("http://h/").redirected(to: "http://\(host)/")
                }
            }
        }
        #expect(took < .seconds(10), "\(took)")
    }
}
