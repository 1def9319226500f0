import SluiceCore
import Testing

@Suite("Bytes a second")
struct RateTests {
    // MARK: The bucket of one transfer

    @Test(
        "a bucket lets through its rate over ten seconds, to within 2 %, whatever the chunk size",
        arguments: [1 << 10, 10 << 10, 1 << 20, 100 << 20, 1 << 30], [1024, 4000, 65_536, 262_144])
    func bucketKeepsTheRate(rate: Int, chunk: Int) {
        let chunk = min(chunk, rate / 8)
        var now: UInt64 = 77_000_000_000
        let start = now
        var bucket = TokenBucket(rate: rate, at: now)
        var bytes = 0
        while now - start < 10_000_000_000 {
            bucket.take(chunk, at: now)
            bytes += chunk
            now += bucket.wait(at: now)
        }
        // The last chunk arrives before it is paid for.
        #expect(abs(Double(bytes - chunk) / 10 / Double(rate) - 1) < 0.02, "\(bytes)")
    }

    @Test("a thread that is woken late makes up for it, but not for a long idle time")
    func lateWakeupIsMadeUp() {
        let second: UInt64 = 1_000_000_000
        var now = second
        var bucket = TokenBucket(rate: 1_000_000, at: now)
        var bytes = 0
        while now < 11 * second {
            bucket.take(10_000, at: now)
            bytes += 10_000
            let wait = bucket.wait(at: now)
            now += wait > 0 ? wait + 5_000_000 : 0
        }
        #expect(abs(bytes - 10_000_000) < 200_000, "\(bytes)")
        now += 60 * second
        let start = now
        bytes = 0
        while now < start + second {
            bucket.take(10_000, at: now)
            bytes += 10_000
            now += bucket.wait(at: now)
        }
        #expect(bytes < 1_150_000, "\(bytes)")
    }

    @Test("a new rate applies at once, also to the bytes that are owed, and no rate means no limit")
    func newRateAppliesAtOnce() {
        var bucket = TokenBucket(rate: 1 << 20, at: 0)
        bucket.take(1 << 20, at: 0)
        #expect(bucket.wait(at: 0) == 1_000_000_000)
        bucket.setRate(1 << 19, at: 0)
        #expect(bucket.wait(at: 0) == 2_000_000_000)
        bucket.setRate(nil, at: 0)
        #expect(bucket.wait(at: 0) == 0)
        bucket.take(1 << 40, at: 0)
        #expect(bucket.wait(at: 0) == 0)
        bucket.setRate(1 << 20, at: 5)
        #expect(bucket.wait(at: 5) == 0)
        #expect(TokenBucket(rate: 1, at: 0).rate == TokenBucket.leastRate)
        #expect(TokenBucket(rate: .max, at: 0).rate == TokenBucket.greatestRate)
    }

    // MARK: The plan for several

    private func expect(
        _ shares: [Double], _ expected: [Double], sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let isRight = zip(shares, expected).allSatisfy { $0 == $1 || abs($0 - $1) <= 1e-6 * $1 + 1e-6 }
        #expect(isRight && shares.count == expected.count, "\(shares)", sourceLocation: sourceLocation)
    }

    @Test("a limit is shared by weight, and what one transfer does not want goes to the others")
    func sharesLimitByWeight() {
        typealias Transfer = RatePlan.Transfer
        expect(
            RatePlan.shares(
                of: [Transfer(weight: 1, limits: [0]), Transfer(weight: 3, limits: [0])], limits: [100]),
            [25, 75])
        expect(
            RatePlan.shares(
                of: [Transfer(weight: 1, demand: 10, limits: [0]), Transfer(weight: 1, limits: [0])],
                limits: [100]), [10, 90])
        // No transfer wants all of it: the rest is there for a transfer that wants more later.
        expect(
            RatePlan.shares(
                of: [
                    Transfer(weight: 1, demand: 10, limits: [0]),
                    Transfer(weight: 1, demand: 20, limits: [0]),
                ], limits: [100]), [45, 55])
        expect(RatePlan.shares(of: [Transfer(weight: 1, limits: [])], limits: []), [.infinity])
        expect(RatePlan.shares(of: [], limits: [5]), [])
    }

    @Test("the narrowest of several limits decides, and what it leaves of the others goes to other transfers")
    func narrowestLimitDecides() {
        typealias Transfer = RatePlan.Transfer
        // Limits of 100 for the service, 20 for a user, 10 for a host.
        expect(
            RatePlan.shares(
                of: [
                    Transfer(weight: 1, limits: [0, 1]), Transfer(weight: 1, limits: [0, 1, 2]),
                    Transfer(weight: 1, limits: [0]), Transfer(weight: 1, limits: [0, 2]),
                ], limits: [100, 20, 10]), [15, 5, 75, 5])
    }

    @Test("no random plan exceeds a limit or leaves unused what a transfer could use")
    func randomPlansUseLimitsFully() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let limits = (0..<Int.random(in: 1...6, using: &generator)).map { _ in
                Double.random(in: 1...1e9, using: &generator)
            }
            let transfers = (0..<Int.random(in: 1...60, using: &generator)).map { _ in
                RatePlan.Transfer(
                    weight: .random(in: 0.001...1000, using: &generator),
                    demand: Bool.random(using: &generator)
                        ? nil : .random(in: 0...1e8, using: &generator),
                    limits: limits.indices.filter { $0 == 0 || Bool.random(using: &generator) })
            }
            let shares = RatePlan.shares(of: transfers, limits: limits)
            let sums = limits.indices.map { limit in
                zip(transfers, shares).reduce(0) { $1.0.limits.contains(limit) ? $0 + $1.1 : $0 }
            }
            for (sum, limit) in zip(sums, limits) { #expect(sum <= limit * (1 + 1e-6)) }
            for transfer in transfers {
                #expect(transfer.limits.contains { sums[$0] >= limits[$0] * (1 - 1e-6) })
            }
        }
    }

    // MARK: The budget of several

    @Test("the budget deducts overuse and makes up for underuse, but forgets what was long ago")
    func budgetBalancesRecentUse() {
        let second: UInt64 = 1_000_000_000
        var budget = RateBudget(rate: 1000, at: 0)
        #expect(budget.capacity == 1000 && budget.admits(beside: 0) && !budget.admits(beside: 1))
        budget.rate = 100_000
        #expect(budget.admits(beside: 90) && !budget.admits(beside: 100))
        budget.spend(50_000)
        #expect(budget.capacity == 50_000 && !budget.admits(beside: 0) && budget.secondsToAdmission == 0.25)
        budget.advance(to: second / 4)
        #expect(budget.admits(beside: 0) && !budget.isBalanced)
        budget.advance(to: second)
        #expect(budget.isBalanced)
        budget.spend(1_000_000)
        // The running transfers continue slowly.
        #expect(budget.capacity == 25_000)
        // Whatever a lane claims to have spent, the budget recovers.
        budget.spend(1 << 56)
        #expect(budget.secondsToAdmission == 9.75)
        // With another rate the time to recover is the same.
        budget.rate = 10_000
        #expect(abs(budget.secondsToAdmission - 9.75) < 1e-9)
        budget.rate = 100_000
        // After an hour the budget owes nothing, and has not saved an hour's worth.
        budget.advance(to: 3600 * second)
        #expect(budget.capacity == 125_000 && budget.secondsToAdmission == 0)
    }

    @Test(
        "transfers that keep to the capacity reach the rate, however rarely they are counted",
        arguments: [0.02, 0.5, 8])
    func reachesRateHoweverRarelyCounted(interval: Double) {
        var budget = RateBudget(rate: 1 << 20, at: 0)
        var bytes = 0.0
        var time = 0.0
        while time < 80 {
            let came = budget.capacity * interval
            bytes += came
            time += interval
            budget.spend(Int(came))
            budget.advance(to: UInt64(time * 1e9))
        }
        #expect(abs(bytes / time / Double(1 << 20) - 1) < 0.01)
    }

    @Test("jobs that end at once are limited to the rate, to within a twentieth")
    func limitsShortJobsToTheRate() {
        var budget = RateBudget(rate: 1 << 20, at: 0)
        var now: UInt64 = 0
        var bytes = 0
        while now < 10_000_000_000 {
            if budget.admits(beside: 0) {
                budget.spend(10 << 10)
                bytes += 10 << 10
            } else {
                now += UInt64(budget.secondsToAdmission * 1e9) + 1
                budget.advance(to: now)
            }
        }
        #expect(abs(Double(bytes) / 10 / Double(1 << 20) - 1) < 0.05, "\(bytes)")
    }
}
