import TestKit
import Testing

/// The notation of `Tests/Responses/responses.txt`.
@Suite("Response table")
struct ResponseTableReaderTests {
    @Test(
        "escapes stand for bytes",
        arguments: [
            (#"a\r\n\t\0\\\""#, Array("a\r\n\t\0\\\"".utf8)),
            (#"\xff\x0A"#, [255, 10]),
            (#"\<1f 8b08>z"#, [31, 139, 8, 122]),
            (#"\(3*ab)c"#, Array("abababc".utf8)),
            (#"\(2*\r\n)"#, Array("\r\n\r\n".utf8)),
            (#"\{base}/\{authority}/\{port}"#, Array("https://127.0.0.1:7/127.0.0.1:7/7".utf8)),
            ("ä", [0xc3, 0xa4]),
        ])
    func escapesStandForBytes(_ text: String, _ bytes: [UInt8]) throws {
        #expect(try EscapedBytes(text).bytes(scheme: "https", authority: "127.0.0.1:7") == bytes)
    }

    @Test(
        "an invalid escape is refused",
        arguments: [#"\q"#, #"\"#, #"\xz1"#, #"\<1>"#, #"\(x*a)"#, #"\(2*a"#, #"\{no}"#])
    func refusesInvalidEscapes(_ text: String) {
        #expect(throws: TestFailure.self) { try EscapedBytes(text) }
    }

    @Test("all parts of an entry are read")
    func readsWholeEntry() throws {
        let table = try ResponseTable(
            """
            # a comment
            ## first
            > /a or /b
            | HTTP/1.1 302
            | \\r\\n
            ! pause
            ! close
            > /c
            ! reset
            = truncated|connectionLost * prefix "he\\x6clo"
            says one thing
            coding gzip
            over http tls
            curl differs: it is wrong

            ## second
            ! close
            = complete 200 ""
            curl same
            """)
        #expect(table.entries.map(\.name) == ["first", "second"])
        let entry = try #require(table.entries.first)
        #expect(entry.answers.map(\.targets) == [["/a", "/b"], ["/c"]])
        #expect(entry.answers[0].steps.count == 4)
        #expect(entry.outcomes == ["truncated", "connectionLost"])
        #expect(entry.status == nil && !entry.checksStatus)
        if case .prefix(let bytes) = entry.body {
            #expect(bytes == Array("hello".utf8))
        } else {
            Issue.record()
        }
        #expect(entry.says == ["one thing"])
        #expect(entry.coding == "gzip")
        #expect(entry.wires == ["http", "tls"])
        if case .differs(let why) = entry.oracle { #expect(why == "it is wrong") } else { Issue.record() }
        #expect(table.entries[1].answers.map(\.targets) == [["/"]])
        #expect(table.entries[1].status == 200)
    }

    @Test(
        "a mistake is reported with its line number",
        arguments: [
            "## a\n| x\n= complete 200 \"\"\ncurl same\n## a", "| x", "## a\n? x",
            "## a\n| x\n= complete 200",
            "## a\n| \\q", "## a\n! jump", "## a\n| x\n= complete two \"\"", "## a\n| x\ncurl maybe",
            "## a\n| x ",
            "## a\n>",
        ])
    func reportsMistakeWithItsLine(_ text: String) {
        let line = text.split(separator: "\n", omittingEmptySubsequences: false).count
        let error = #expect(throws: TestFailure.self) { try ResponseTable(text) }
        #expect(error?.description.hasPrefix("responses.txt:\(line): ") == true)
    }

    @Test("an entry without a result is refused")
    func refusesEntryWithoutResult() {
        #expect(throws: TestFailure.self) { try ResponseTable("## a\n| x\ncurl same") }
    }
}
