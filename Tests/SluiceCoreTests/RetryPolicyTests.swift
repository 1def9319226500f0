import Foundation
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing

@Suite("Retries")
struct RetryPolicyTests {
    private let pauses = RetryPolicy.Pauses()

    /// The decision after an attempt that delivered nothing.
    private func fail(
        _ policy: inout RetryPolicy, progress: Int = 0, isDeath: Bool = false, retryAfter: Double? = nil,
        random: Double = 1
    ) -> Double? {
        policy.failed(
            progress: progress, isDeath: isDeath, retryAfter: retryAfter, pauses: pauses, random: random)
    }

    @Test("the limit of the pause doubles from the base up to the longest pause")
    func pauseDoublesUpToTheLongest() {
        var policy = RetryPolicy(retries: 1000)
        let limits = (0..<9).map { _ in fail(&policy) }
        #expect(limits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30])
        // The number of failures goes far beyond the width of a shift.
        for _ in 0..<900 { #expect(fail(&policy) == 30) }
    }

    @Test("the pause is a random time from zero up to its limit", arguments: 1...4 as ClosedRange<UInt64>)
    func pauseIsRandomUpToLimit(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var lowest = Double.infinity
        var highest = 0.0
        for _ in 0..<2000 {
            var policy = RetryPolicy(retries: 10)
            for _ in 0..<3 { _ = fail(&policy) }
            let pause = fail(&policy, random: Double.random(in: 0..<1, using: &generator)) ?? .nan
            #expect(pause >= 0 && pause < 4)
            lowest = min(lowest, pause)
            highest = max(highest, pause)
        }
        #expect(lowest < 0.1 && highest > 3.9, "all of it is used")
    }

    @Test("tolerates the configured number of failures in a row and no more", arguments: [0, 1, 4, 1000])
    func toleratesFailuresUpToLimit(_ retries: Int) {
        var policy = RetryPolicy(retries: retries)
        for _ in 0..<retries { #expect(fail(&policy) != nil) }
        #expect(fail(&policy) == nil)
        #expect(fail(&policy) == nil, "also when asked again")
    }

    @Test("a policy of zero retries never retries, however much the attempt has delivered")
    func zeroRetriesNeverRetry() {
        var policy = RetryPolicy(retries: 0)
        #expect(fail(&policy, progress: .max) == nil)
    }

    @Test("an attempt that delivered a mebibyte forgives the failures before it; one byte less does not")
    func progressForgivesFailures() {
        var policy = RetryPolicy(retries: 2)
        for _ in 0..<50 { #expect(fail(&policy, progress: RetryPolicy.progressThatForgives) == 0.5) }
        #expect(fail(&policy, progress: RetryPolicy.progressThatForgives - 1) == 1)
        #expect(fail(&policy, progress: RetryPolicy.progressThatForgives - 1) == nil)
    }

    @Test("the deaths of lanes are never forgiven, because a server could cause them without end")
    func neverForgivesLaneDeaths() {
        var policy = RetryPolicy(retries: 3)
        // Progress does not shorten the pauses either.
        for pause in [0.5, 1, 2] { #expect(fail(&policy, progress: 1 << 30, isDeath: true) == pause) }
        #expect(fail(&policy, progress: 1 << 30, isDeath: true) == nil)
        #expect(policy.deaths == 4)
        var mixed = RetryPolicy(retries: 1)
        #expect(fail(&mixed, progress: 1 << 30, isDeath: true) != nil)
        #expect(fail(&mixed, progress: 1 << 30) != nil, "a failure of another kind is counted by itself")
        #expect(fail(&mixed, progress: 1 << 30, isDeath: true) == nil)
    }

    @Test("the server's pause is respected up to a limit and never shortens the policy's own pause")
    func respectsRetryAfterUpToLimit() {
        func pause(_ retryAfter: Double, random: Double = 0) -> Double? {
            var policy = RetryPolicy(retries: 1)
            return fail(&policy, retryAfter: retryAfter, random: random)
        }
        #expect(pause(7) == 7)
        #expect(pause(0.1, random: 1) == 0.5)
        #expect(pause(119) == 119)
        #expect(pause(121) == 120)
        // A lane may send any value.
        #expect(pause(.infinity) == 120)
        #expect(pause(1e300) == 120)
        #expect(pause(-5, random: 1) == 0.5)
        #expect(pause(-.infinity) == 0)
        #expect(pause(.nan)?.isFinite == true)
        var deaf = RetryPolicy(retries: 1)
        var pauses = pauses
        pauses.longestRetryAfter = 0
        #expect(
            deaf.failed(progress: 0, isDeath: false, retryAfter: 60, pauses: pauses, random: 0.5) == 0.25)
    }

    @Test("pauses of 0 are allowed")
    func allowsZeroPauses() {
        var pauses = pauses
        pauses.base = 0
        var policy = RetryPolicy(retries: 100)
        for _ in 0..<100 {
            #expect(
                policy.failed(progress: 0, isDeath: false, retryAfter: nil, pauses: pauses, random: 0.9) == 0)
        }
    }

    // MARK: Retry-After

    private static let now = 784_111_777

    @Test(
        "Retry-After is read in both of its forms (RFC 9110 §10.2.3)",
        arguments: [
            ("0", 0), ("120", 120), (" 5\t", 5), ("0007", 7), ("Sun, 06 Nov 1994 08:49:47 GMT", 10),
            ("Sunday, 06-Nov-94 08:49:47 GMT", 10), ("Sun Nov  6 08:49:47 1994", 10),
            // The date has passed long ago, or just now: no pause.
            ("Sun, 06 Nov 1994 08:49:37 GMT", 0), ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ])
    func readsBothFormsOfRetryAfter(_ text: String, _ seconds: Double) {
        #expect(RetryPolicy.retryAfter(text, now: Self.now) == seconds)
    }

    @Test(
        "text that is neither a number nor a date is ignored",
        arguments: [
            "", " ", "-1", "+1", "1.5", "1e3", "0x10", "inf", "nan", "٣", "5 s", "5,6", "soon", "1\0",
            "\u{ff11}", "5\u{fffd}", "\u{fffd}", "5\u{301}",
        ])
    func ignoresInvalidRetryAfter(_ text: String) {
        #expect(RetryPolicy.retryAfter(text, now: Self.now) == nil)
    }

    @Test("absurd values give long but finite pauses, which a lane can report to the daemon")
    func absurdRetryAfterStaysFinite() throws {
        for text in [
            String(repeating: "9", count: 400), String(repeating: "9", count: 100_000), "9223372036854775808",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            let seconds = try #require(RetryPolicy.retryAfter(text, now: Self.now))
            #expect(seconds.isFinite && seconds >= 86_400, "as long as any setting allows")
            var facts = EndFacts(Outcome(.httpStatus, "503"), status: 503)
            facts.retryAfterSeconds = seconds
            #expect(EndFacts(packet: facts.packet) == facts)
        }
        #expect(RetryPolicy.retryAfter("5", now: .max) == 5)
        #expect(RetryPolicy.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: .min) == 31_536_000)
        #expect(RetryPolicy.retryAfter("Sun, 06 Nov 1994 08:49:37 GMT", now: .max) == 0)
    }

    // MARK: Requests that may be repeated

    @Test("only failures that can pass by themselves are retried")
    func retriesOnlyTransientFailures() {
        let passing: Set<OutcomeCode> = [
            .nameNotResolved, .connectionRefused, .connectFailed, .connectTimeout, .headTimeout,
            .proxyUnreachable, .truncated, .connectionLost, .originGaveUp, .silenceTimeout, .tooSlow,
            .laneDied,
        ]
        for code in OutcomeCode.allCases where code != .httpStatus && code != .proxyRefused {
            #expect(RetryPolicy.isRetryable(code, status: nil) == passing.contains(code), "\(code)")
            #expect(RetryPolicy.isRetryable(code, status: 503) == passing.contains(code), "\(code)")
        }
    }

    @Test(
        "exactly eleven statuses are retried, whether they come from the origin or from a proxy",
        arguments: [OutcomeCode.httpStatus, .proxyRefused])
    func retriesElevenStatuses(_ code: OutcomeCode) {
        let repeated = (-1...1000).filter { RetryPolicy.isRetryable(code, status: $0) }
        #expect(repeated == [408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524])
        #expect(!RetryPolicy.isRetryable(code, status: nil))
    }

    @Test(
        "the settings decide which statuses are retried", arguments: [OutcomeCode.httpStatus, .proxyRefused])
    func settingsChooseRetriedStatuses(_ code: OutcomeCode) {
        #expect(RetryPolicy.isRetryable(code, status: 404, statuses: [404, 407]))
        #expect(!RetryPolicy.isRetryable(code, status: 503, statuses: [404, 407]))
        #expect(!RetryPolicy.isRetryable(code, status: 503, statuses: []))
        #expect(
            RetryPolicy.isRetryable(.connectTimeout, status: 503, statuses: []), "of the others none matters")
        func decide(_ statuses: Set<Int>) -> AttemptDecision {
            let end = AttemptEnd(
                outcome: Outcome(code, "so"), status: 407, position: 0, delivered: 0, known: nil,
                wantsDigest: false)
            var policy = RetryPolicy(retries: 1)
            return AttemptRules.judge(
                end, policy: &policy, statuses: statuses, pauses: pauses, secondsLeft: nil, random: 0)
        }
        #expect(decide([407]) == .retry(pause: 0))
        #expect(decide([503]) == .finish(Outcome(code, "so")))
    }
}
