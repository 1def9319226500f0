import Testing

@testable import SluiceDaemon

@Suite("The log's limiters") struct LogLimiterTests {
    @Test("a limiter admits a burst, drops the rest, and reports how many it dropped at the next chance")
    func writesBurstAndDropsRest() {
        let limiter = LogLimiter(burst: 2, interval: .seconds(10))
        let start = ContinuousClock.now
        #expect(limiter.admit(at: start) == .write)
        #expect(limiter.admit(at: start + .seconds(1)) == .write)
        for _ in 0..<5 { #expect(limiter.admit(at: start + .seconds(9)) == .drop) }
        #expect(limiter.admit(at: start + .seconds(10)) == .writeAfterDropping(5))
        #expect(limiter.admit(at: start + .seconds(11)) == .write)
        #expect(limiter.admit(at: start + .seconds(12)) == .drop)
        #expect(limiter.admit(at: start + .seconds(500)) == .writeAfterDropping(1))
    }

    @Test(
        "messages that one user causes do not suppress those of others, and all dropped messages are counted")
    func usersAreLimitedSeparately() {
        let limiters = LogLimiters()
        let now = ContinuousClock.now
        var written = 0
        for _ in 0..<500 where limiters.admit(.refusals(of: 7), at: now) == .write { written += 1 }
        #expect(written == 50 && limiters.dropped == 450)
        #expect(limiters.admit(.refusals(of: 8), at: now) == .write)
        for _ in 0..<300 { _ = limiters.admit(.lanes, at: now) }
        #expect(limiters.admit(.service, at: now) == .write)
        #expect(limiters.dropped == 650)
    }

    @Test("thousands of users cannot use up the service's own limiter, and theirs are released later")
    func manyUsersKeepServiceLimiterFree() {
        let limiters = LogLimiters()
        let now = ContinuousClock.now
        for user in 0..<5000 as Range<UInt32> {
            for _ in 0..<51 { _ = limiters.admit(.refusals(of: user), at: now) }
        }
        let service = (0..<100).map { _ in limiters.admit(.service, at: now) }
        #expect(service.allSatisfy { $0 == .write })
        let later = now + .seconds(11)
        for user in 0..<5000 as Range<UInt32> { _ = limiters.admit(.refusals(of: user), at: later) }
        // All have told by now what was dropped, and a user who was never seen has the whole burst.
        let muchLater = later + .seconds(11)
        let decisions = (0..<50).map { _ in limiters.admit(.refusals(of: 9999), at: muchLater) }
        #expect(decisions.allSatisfy { $0 == .write })
    }
}
