import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    @Suite("Exactness")
    struct Exactness {
        /// As many lanes are killed as SLUICE_TEST_KILLS says, 200 if it says nothing.
        static var kills: Int { getenv("SLUICE_TEST_KILLS").flatMap { Int(String(cString: $0)) } ?? 200 }

        /// A known sequence, so that a failure can be repeated: SLUICE_TEST_SEED, else a new one.
        struct Dice: RandomNumberGenerator {
            let seed: UInt64
            private var state: UInt64

            init() {
                seed =
                    getenv("SLUICE_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
                    ?? UInt64.random(in: 0..<1_000_000)
                state = seed
            }

            // Marsaglia's xorshift64*: any generator would do.
            mutating func next() -> UInt64 {
                if state == 0 { state = 0x1234_5678 }
                state ^= state >> 12
                state ^= state << 25
                state ^= state >> 27
                return state &* 0x2545_F491_4F6C_DD1D
            }
        }

        @Test("a lane that is killed at any moment leaves an account of exactly what the consumer got")
        func kills() throws {
            let pattern = Pattern(seed: 5)
            let nginx = try Nginx()
            let service = try TestService("lanes.minimum = 4")
            let path = try nginx.serve("large", pattern, count: 1 << 30)
            var dice = Dice()
            var wrong = 0
            var inFlight = 0
            var lost = 0
            let start = ContinuousClock.now
            for round in 0..<Self.kills {
                let job = try service.fetch(nginx.httpURL(path), expecting: pattern)
                let lane = try job.lane()
                // In most rounds while bytes flow at full speed, in some while the job is young.
                if round % 8 != 0 {
                    try job.reader.waitForCount(.random(in: 1...(24 << 20), using: &dice))
                }
                let wait = UInt64.random(in: 0..<3_000_000, using: &dice)
                let until = clock_gettime_nsec() + wait
                while clock_gettime_nsec() < until {}
                kill(lane, SIGKILL)
                let ended = try service.wait(job.id)
                let report = try job.reader.waitForEnd()
                if ended.attempts > 1, ended.outcome?.code == .complete {
                    // Killed before it had the order: another lane has done it all.
                    lost += 1
                    #expect(report.count == 1 << 30)
                } else if report.count != ended.bytesDelivered || ended.outcome?.code != .laneDied {
                    wrong += 1
                    Issue.record("round \(round), seed \(dice.seed): consumer has \(report.count): \(ended)")
                }
                if ended.bytesReceived > ended.bytesDelivered { inFlight += 1 }
            }
            let seconds = start.duration(to: .now).asSeconds
            print(
                "figure: \(Self.kills) kills, \(wrong) wrong, \(inFlight) with bytes on the way, \(lost) before the order; "
                    + "\((seconds * 10).rounded() / 10) s; seed \(dice.seed)")
            #expect(try service.status().lanes.died == Self.kills)
        }

        private func clock_gettime_nsec() -> UInt64 {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
        }
    }
}
