import TestKit
import Testing

@testable import Varlink

/// What the scan finds in a message before any part of it is decoded.
@Suite("A look at a message")
struct MessageScanTests {
    private func fault(_ text: String, values: Int = .max) -> MessageScan.Fault? {
        do throws(MessageScan.Fault) {
            try MessageScan.check(Array(text.utf8), maximumValues: values)
            return nil
        } catch {
            return error
        }
    }

    @Test("counts brackets, but not those in strings")
    func countsBracketsOutsideStrings() {
        let deepest = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(fault(deepest) == nil)
        #expect(fault("[" + deepest + "]") == .nestedTooDeeply)
        let brackets = String(repeating: #"[{\"[\\"#, count: 100)
        #expect(fault(#"{"a": [""# + brackets + #"", {}]}"#) == nil)
    }

    @Test("counts values, but not commas in strings")
    func countsValuesOutsideStrings() {
        #expect(fault(#"{"a": [1, 2, 3]}"#, values: 4) == nil)
        #expect(fault(#"{"a": [1, 2, 3, 4]}"#, values: 4) == .tooManyValues)
        #expect(fault(#"{"a": [[],[],[]]}"#, values: 6) == .tooManyValues)
        #expect(fault(#"{"a": ",,,,,,,,,,,"}"#, values: 2) == nil)
    }

    @Test("accepts only field names in ASCII, of up to 128 bytes")
    func acceptsOnlyShortASCIINames() {
        #expect(fault(#"{"a b-c.d_e": 1}"#) == nil)
        #expect(fault("{\"\(String(repeating: "n", count: 128))\" : 1}") == nil)
        #expect(fault("{\"\(String(repeating: "n", count: 129))\" : 1}") == .fieldName)
        #expect(fault(#"{"é": 1}"#) == .fieldName)
        #expect(fault(#"{"a\u0301": 1}"#) == .fieldName)
        // In a value the same text is allowed.
        #expect(fault(#"{"a": "é\u0301"}"#) == nil)
    }

    @Test(
        "accepts 30 combining characters in a row, however they are written, and no more",
        arguments: [#"\u0301"#, "\u{301}", #"\uD834\uDD65"#, "\u{1D165}", "\u{323}\u{301}"])
    func accepts30CombiningCharacters(mark: String) {
        let each = mark == "\u{323}\u{301}" ? 2 : 1
        let most = String(repeating: mark, count: 30 / each)
        #expect(fault(#"{"id": "a\#(most)b\#(most)"}"#) == nil)
        #expect(fault(#"{"id": "a\#(most)\#(mark)"}"#) == .combiningCharacters(field: "id"))
        #expect(fault(#"["a\#(most)\#(mark)"]"#) == .combiningCharacters(field: nil))
        // An escaped letter is no combining mark, and neither is text that only looks like an escape.
        #expect(fault(#"{"id": "a\#(most)\u0061\#(most)\\u0301"}"#) == nil)
    }

    @Test("is not confused by invalid JSON or invalid UTF-8")
    func survivesInvalidInput() {
        var generator = SeededGenerator(seed: 12)
        let parts: [[UInt8]] = [
            [0x22], [0x5c], [0x5c, 0x75], Array("d834".utf8), [0xcc, 0x81], [0xcc], [0xf0, 0x9d], [0xff],
            [0x5b],
            [0x7b], [0x3a], [0x2c], [0x61],
        ]
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<40, using: &generator) {
                bytes += parts.randomElement(using: &generator) ?? []
            }
            try? MessageScan.check(bytes, maximumValues: 100)
        }
    }

    @Test("takes time in proportion to the message's length, and so do later comparisons of its strings")
    func costIsLinear() {
        // The maximum length of a message to the daemon.
        let safe = String(
            repeating: "a" + String(repeating: "\u{323}\u{301}", count: 15), count: (256 << 10) / 61)
        let clock = ContinuousClock()
        var isEqual = true
        let time = clock.measure {
            #expect(fault("[\"\(safe)\"]") == nil)
            isEqual = safe == safe + "b" || Set([safe]).contains(safe + "c")
        }
        #expect(!isEqual)
        // It takes about 60 ms on a calm machine in a debug build. When the time grew with the square of the length,
        // it took 30 s.
        #expect(time < .seconds(5), "\(time)")
    }
}
