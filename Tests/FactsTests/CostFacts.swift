import TestKit
import Testing

/// F7: what a lane costs. The bounds are loose: they notice another order of magnitude, not a busy machine.
@Suite("Facts: what a process with a session costs", .serialized)
struct CostFacts {
    @Test(
        "F7: a few MB of private memory, a start well under a second, hundreds of fetches a second on one connection"
    )
    func cost() throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        let start = ContinuousClock.now
        let probe = try Probe()
        #expect(start.duration(to: .now) < .seconds(1))
        _ = try probe.outcome(origin.url())
        #expect(try probe.privateBytes() < 16 << 20)
        let begin = ContinuousClock.now
        for _ in 0..<200 { _ = try probe.outcome(origin.url()) }
        let rate = 200 / begin.duration(to: .now).asSeconds
        #expect(rate > 50, "\(rate) fetches a second")
        #expect(origin.connections == 1)
        print(
            "a process with a session: \(try probe.privateBytes() >> 10) KiB private, \(Int(rate)) fetches/s")
    }
}
