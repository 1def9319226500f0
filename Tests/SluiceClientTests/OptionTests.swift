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
    func splitsHeaderAtFirstColon(text: String, name: String, value: String) {
        #expect(HeaderOption.parse(text) == HeaderField(name: name, value: value))
    }

    @Test(
        "text without a colon or without a name is not a header",
        arguments: ["", "Accept", ":", ": x", "  : x"])
    func refusesHeaderWithoutColonOrName(text: String) {
        #expect(HeaderOption.parse(text) == nil)
    }

    @Test("SLUICE_PATIENCE is a number of seconds, 30 by default; other text is refused")
    func patienceIsThirtySecondsByDefault() throws {
        #expect(try Patience.duration([:]) == .seconds(30))
        #expect(try Patience.duration([Patience.variable: ""]) == .seconds(30))
        #expect(try Patience.duration([Patience.variable: "0.5"]) == .milliseconds(500))
        for text in ["x", "-1", "nan", "inf", "86401", "1s"] {
            #expect(throws: SluiceError.self) { try Patience.duration([Patience.variable: text]) }
        }
    }

    @Test("the terminal shows Unicode if the locale variable of highest precedence names UTF-8")
    func unicodeFollowsLocaleVariables() {
        #expect(Terminal.isUnicode(["LANG": "de_DE.UTF-8"]))
        #expect(Terminal.isUnicode(["LANG": "C", "LC_CTYPE": "C.utf8"]))
        #expect(!Terminal.isUnicode(["LANG": "de_DE.UTF-8", "LC_ALL": "C"]))
        #expect(Terminal.isUnicode(["LANG": "de_DE.UTF-8", "LC_ALL": ""]))
        #expect(!Terminal.isUnicode([:]))
    }
}

@Suite("The service's executable") struct ServiceExecutableTests {
    @Test("is searched for beside the client, then in the directories of an installation, then in PATH")
    func searchesBesideClientFirst() {
        let candidates = ServiceExecutable.candidates(
            program: "/usr/bin/sluicectl", environment: ["PATH": "/a:/b"])
        #expect(
            candidates == [
                "/usr/bin/sluiced", "/usr/bin/../sbin/sluiced", "/usr/bin/../bin/sluiced",
                "/usr/bin/../libexec/sluice/sluiced", "/a/sluiced", "/b/sluiced",
            ])
    }

    @Test("is only what SLUICED names, if that is set")
    func isOnlyWhatVariableNames() {
        let candidates = ServiceExecutable.candidates(
            program: "/usr/bin/sluicectl", environment: ["SLUICED": "/x/d", "PATH": "/a"])
        #expect(candidates == ["/x/d"])
    }
}
