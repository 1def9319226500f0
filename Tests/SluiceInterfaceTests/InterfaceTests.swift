import SluiceInterface
import Testing

@Suite("Words and sizes")
struct WordTests {
    @Test(
        "a size is parsed from digits with an optional unit",
        arguments: [
            ("0", 0), ("1", 1), ("262144", 262_144), ("1K", 1024), ("1k", 1024), ("64M", 64 << 20),
            ("2G", 2 << 30),
            ("1t", 1 << 40), ("007", 7), ("8388607T", 8_388_607 << 40),
        ])
    func parsesSizes(_ text: String, _ bytes: Int) {
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test(
        "text that is not a size is refused",
        arguments: [
            "", "K", "-1", "+1", "1.5M", "1 M", "1MB", "M1", "0x10", "1e3", "٣", "9223372036854775808",
            "8388608T",
        ])
    func refusesInvalidSizes(_ text: String) {
        #expect(ByteSize.parse(text) == nil)
    }

    @Test(
        "a size is shown rounded, with a decimal unit",
        arguments: [
            (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_440_000_000, "1.4 GB"), (12_000, "12.0 kB"),
            (99_950, "100 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (Int.max, "9.2 EB"),
        ])
    func describesSizes(_ bytes: Int, _ text: String) {
        #expect(ByteSize.describe(bytes) == text)
    }

    @Test(
        "every outcome has a final state, and every failure that a user can act on has a remedy of one line")
    func failuresHaveRemedies() {
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
