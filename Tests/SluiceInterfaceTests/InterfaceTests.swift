import SluiceInterface
import Testing

@Suite("Words and sizes")
struct WordTests {
    @Test(
        "sizes as people write them",
        arguments: [
            ("0", 0), ("1", 1), ("262144", 262_144), ("1K", 1024), ("1k", 1024), ("64M", 64 << 20),
            ("2G", 2 << 30),
            ("1t", 1 << 40), ("007", 7), ("8388607T", 8_388_607 << 40),
        ])
    func parse(_ text: String, _ bytes: Int) {
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test(
        "what is no size",
        arguments: [
            "", "K", "-1", "+1", "1.5M", "1 M", "1MB", "M1", "0x10", "1e3", "٣", "9223372036854775808",
            "8388608T",
        ])
    func noSize(_ text: String) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(
        "sizes as people read them",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_440_000_000, "1.4 GB"), (12_000, "12.0 kB"),
            (99_950, "100 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (Int.max, "9.2 EB"),
        ])
    func describe(_ bytes: Int, _ text: String) {
        #expect(ByteSize.describe(bytes) == text)
    }

    @Test("every outcome has its state, and every failure that somebody can act on a remedy of one line")
    func outcomes() {
        let silent: Set<OutcomeCode> = [.complete, .unchanged, .cancelled, .consumerGone, .tlsFailed]
        for code in OutcomeCode.allCases {
            #expect((code.remedy == nil) == silent.contains(code), "\(code)")
            #expect(code.remedy?.contains("\n") != true)
            #expect(code.state.isFinal)
            let outcome = Outcome(code, "what happened")
            #expect(outcome.remedy == code.remedy)
        }
        #expect(
            OutcomeCode.allCases.filter { $0.state == .complete } == [
                .complete, .completeUnverified, .unchanged,
            ])
        #expect(OutcomeCode.allCases.filter { $0.state == .cancelled } == [.cancelled])
    }
}
