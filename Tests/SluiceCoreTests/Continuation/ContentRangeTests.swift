import SluiceCore
import Testing

@Suite("Content-Range")
struct ContentRangeTests {
    @Test(
        "the forms of RFC 9110 §14.4 are read",
        arguments: [
            ("bytes 0-0/1", .part(first: 0, last: 0, complete: 1)),
            ("bytes 42-1233/1234", .part(first: 42, last: 1233, complete: 1234)),
            ("bytes 42-1233/*", .part(first: 42, last: 1233, complete: nil)),
            ("bytes */1234", .unsatisfied(complete: 1234)),
            ("bytes */0", .unsatisfied(complete: 0)),
            // A part of a part: the server may send less than was asked for.
            ("bytes 42-43/1234", .part(first: 42, last: 43, complete: 1234)),
        ] as [(String, ContentRange)])
    func readsFormsOfTheRFC(_ text: String, _ range: ContentRange) {
        #expect(ContentRange(text) == range)
    }

    @Test(
        "letter case, extra blanks and leading zeros do not change the meaning",
        arguments: [
            ("Bytes 0-4/5", .part(first: 0, last: 4, complete: 5)),
            ("BYTES  0-4/5", .part(first: 0, last: 4, complete: 5)),
            (" bytes 0-4/5 ", .part(first: 0, last: 4, complete: 5)),
            ("\t bytes 0-4/5\t", .part(first: 0, last: 4, complete: 5)),
            ("bytes 000-004/005", .part(first: 0, last: 4, complete: 5)),
        ] as [(String, ContentRange)])
    func toleratesCaseBlanksAndZeros(_ text: String, _ range: ContentRange) {
        #expect(ContentRange(text) == range)
    }

    @Test(
        "a malformed or inconsistent Content-Range is rejected",
        arguments: [
            "", " ", "bytes", "bytes ", "0-4/5", "bytes0-4/5", "bytes=0-4/5", "bytes: 0-4/5", "bytes\t0-4/5",
            "items 0-4/5", "octets 0-4/5", "bytes 0-4", "bytes 0-4/", "bytes /5", "bytes -4/5", "bytes 0-/5",
            "bytes 0/5", "bytes 0-4-5/6", "bytes 0-4/5/6", "bytes */*", "bytes *", "bytes *-4/5",
            "bytes 0-*/5",
            "bytes 4-3/5", "bytes 0-5/5", "bytes 0-6/5", "bytes 0 - 4 / 5", "bytes 0-4 /5", "bytes 0-4/ 5",
            "bytes 0-4/5 x", "bytes +0-4/5", "bytes 0-+4/5", "bytes 0-4/-5", "bytes 0x0-0x4/5",
            "bytes 0-4/5.0",
            "bytes ٠-٤/٥", "bytes\u{301} 0-4/5", "bytes \u{301}0-4/5", "bytes 0-4/5\u{fffd}", "bytes 0-4/5\0",
            "bytes 0-4/5\r\n", "bytes 0-4/5, 5-6/7", "bytes 0-4,6-7/9",
        ])
    func rejectsInvalidRanges(_ text: String) {
        #expect(ContentRange(text) == nil)
    }

    @Test(
        "numbers larger than any body are rejected, because sums of them could overflow",
        arguments: [
            "bytes 0-9223372036854775807/*", "bytes 0-9223372036854775806/9223372036854775807",
            "bytes 1-9223372036854775807/*", "bytes 0-9223372036854775808/*",
            "bytes 18446744073709551616-1/2",
            "bytes 0-4/18446744073709551621", "bytes */9223372036854775808", "bytes */9223372036854775807",
            "bytes 0-72057594037927936/*", "bytes 0-1/\(String(repeating: "9", count: 400))",
        ])
    func rejectsNumbersThatCouldOverflow(_ text: String) {
        #expect(ContentRange(text) == nil)
    }

    @Test("the largest accepted numbers leave room for sums")
    func largestNumbersLeaveRoom() {
        let most = ContentRange.largestLength
        #expect(ContentRange("bytes */\(most)") == .unsatisfied(complete: most))
        #expect(
            ContentRange("bytes 5-\(most - 1)/\(most)") == .part(first: 5, last: most - 1, complete: most))
        #expect(ContentRange("bytes */\(most + 1)") == nil)
        #expect(most.multipliedReportingOverflow(by: 100).overflow == false)
    }
}
