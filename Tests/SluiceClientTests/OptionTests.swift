import SluiceClient
import SluiceInterface
import Testing

@Suite("What is given on the command line") struct OptionTests {
    @Test(
        "a header is split at its first colon",
        arguments: [
            ("Accept: text/html", "Accept", "text/html"), ("X:1", "X", "1"), (" A \t:\t b c ", "A", "b c"),
            ("Authorization: Basic a:b", "Authorization", "Basic a:b"), ("Empty:", "Empty", ""),
        ])
    func header(text: String, name: String, value: String) {
        #expect(HeaderOption.parse(text) == HeaderField(name: name, value: value))
    }

    @Test("is no header without a colon or a name", arguments: ["", "Accept", ":", ": x", "  : x"])
    func noHeader(text: String) {
        #expect(HeaderOption.parse(text) == nil)
    }

    @Test("a digest is the algorithm's name, alone or with its digits, in either case")
    func digest() {
        let digits = String(repeating: "0123456789abcdef", count: 4)
        #expect(DigestOption.parse("SHA256")?.description == "sha256")
        #expect(DigestOption.parse("sha512")?.digits == nil)
        #expect(DigestOption.parse("sha256:\(digits.uppercased())")?.description == "sha256:\(digits)")
        #expect(DigestOption.parse("sha512:\(digits)\(digits)")?.digits == digits + digits)
        for text in [
            "", ":", "md5", "sha-256", "sha256:", "sha256:\(digits)0", "sha512:\(digits)", "sha256 \(digits)",
            "sha256:\(digits.dropLast())g", "sha256:\(digits.dropLast())ä", ":\(digits)",
        ] {
            #expect(DigestOption.parse(text) == nil, "\(text)")
        }
    }

    @Test("the patience with a service that has gone away is a number of seconds, 30 if nobody says another")
    func patience() throws {
        #expect(try Patience.duration([:]) == .seconds(30))
        #expect(try Patience.duration([Patience.variable: ""]) == .seconds(30))
        #expect(try Patience.duration([Patience.variable: "0.5"]) == .milliseconds(500))
        for text in ["x", "-1", "nan", "inf", "86401", "1s"] {
            #expect(throws: SluiceError.self) { try Patience.duration([Patience.variable: text]) }
        }
    }

    @Test("the terminal shows Unicode if the weightiest variable says UTF-8")
    func unicode() {
        #expect(Terminal.isUnicode(["LANG": "de_DE.UTF-8"]))
        #expect(Terminal.isUnicode(["LANG": "C", "LC_CTYPE": "C.utf8"]))
        #expect(!Terminal.isUnicode(["LANG": "de_DE.UTF-8", "LC_ALL": "C"]))
        #expect(Terminal.isUnicode(["LANG": "de_DE.UTF-8", "LC_ALL": ""]))
        #expect(!Terminal.isUnicode([:]))
    }
}

@Suite("The service's executable") struct ServiceExecutableTests {
    @Test("is looked for beside the client, then where it is installed, then in PATH")
    func order() {
        let candidates = ServiceExecutable.candidates(
            program: "/usr/bin/sluicectl", environment: ["PATH": "/a:/b"])
        #expect(
            candidates == [
                "/usr/bin/sluiced", "/usr/bin/../sbin/sluiced", "/usr/bin/../bin/sluiced",
                "/usr/bin/../libexec/sluice/sluiced", "/a/sluiced", "/b/sluiced",
            ])
    }

    @Test("is what SLUICED names, and nothing else then")
    func named() {
        let candidates = ServiceExecutable.candidates(
            program: "/usr/bin/sluicectl", environment: ["SLUICED": "/x/d", "PATH": "/a"])
        #expect(candidates == ["/x/d"])
    }
}
