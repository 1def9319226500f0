import SluiceClient
import Testing

@Suite("top's keys") struct TopKeyTests {
    private func keys(_ text: String) -> [TopKey] {
        var decoder = TopKeyDecoder()
        return decoder.decode(text.utf8)
    }

    @Test("letters mean the same in upper and lower case")
    func ignoresCaseOfLetters() {
        #expect(keys("qS +?") == ["q", "s", " ", "+", "?"].map { .character($0) })
        #expect(keys("jkJK\u{0C}") == [.down, .up, .down, .up, .redraw])
    }

    @Test("arrows, paging keys, Home and End are decoded in their different forms")
    func decodesFormsOfArrowKeys() {
        #expect(keys("\u{1B}[A\u{1B}[B\u{1B}OA\u{1B}OB") == [.up, .down, .up, .down])
        #expect(keys("\u{1B}[5~\u{1B}[6~") == [.pageUp, .pageDown])
        #expect(keys("\u{1B}[H\u{1B}[F\u{1B}[1~\u{1B}[4~\u{1B}OH") == [.home, .end, .home, .end, .home])
        #expect(keys("\u{1B}[1;5A") == [.up])
    }

    @Test("an unknown sequence is ignored as a whole, and no part of it is read as a letter")
    func ignoresUnknownSequences() {
        #expect(keys("\u{1B}[15~q") == [.character("q")])
        #expect(keys("\u{1B}[<0;10;20Mq") == [.character("q")])
        #expect(keys("\u{1B}q\u{1B}\u{1B}[Ah") == [.up, .character("h")])
        #expect(keys("\u{1B}[\u{1B}[Bq") == [.down, .character("q")])
        #expect(keys("äö\0\u{7F}") == [])
        #expect(keys("\u{1B}[" + String(repeating: "1", count: 100) + "~").count < 100)
    }

    @Test("a sequence may arrive in pieces")
    func joinsSequencesInPieces() {
        var decoder = TopKeyDecoder()
        #expect(decoder.decode([0x1B]) == [])
        #expect(decoder.decode([0x5B]) == [])
        #expect(decoder.decode([0x36]) == [])
        #expect(decoder.decode([0x7E, 0x71]) == [.pageDown, .character("q")])
    }

    @Test("no sequence of bytes stops the decoder")
    func survivesAnyBytes() {
        var decoder = TopKeyDecoder()
        for first in UInt8.min...UInt8.max {
            for second in UInt8.min...UInt8.max { _ = decoder.decode([0x1B, 0x5B, first, second, 0x0A]) }
        }
        #expect(decoder.decode([0x0A, 0x71]) == [.character("q")])
    }
}
