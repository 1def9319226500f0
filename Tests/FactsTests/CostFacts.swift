import TestKit
import Testing
import Unix

/// Facts about what a lane costs. The bounds are loose: they detect another order of magnitude, not a busy machine.
@Suite("Facts: what a process with a session costs", .serialized)
struct CostFacts {
    @Test(
        "F16: a session's time limit arms a new timer for each chunk, unless the limit is past the end of the clock"
    )
    func timeLimitArmsTimers() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Pattern(seed: 1), count: 1 << 20) }
        func secondsLeft(_ probe: Probe) -> Int {
            (0..<64).reduce(0) { longest, descriptor in
                // "it_value: (SECONDS, NANOSECONDS)", of a timerfd.
                let lines = (try? readText("/proc/\(probe.processID)/fdinfo/\(descriptor)")) ?? ""
                let value = lines.split(separator: "\n").first { $0.hasPrefix("it_value: (") }
                return max(longest, value.flatMap { Int($0.dropFirst(11).prefix { $0 != "," }) } ?? 0)
            }
        }
        let year = try Probe("timeout=31536000")
        let never = try Probe("timeout=10000000000")
        // Timers are armed later than the transfer: those of the first transfer are armed by the time of the last.
        for _ in 0..<3 {
            _ = try year.outcome(origin.url())
            _ = try never.outcome(origin.url())
        }
        try eventually(revisit("F16", "Foundation arms no timer")) { secondsLeft(year) > 31_000_000 }
        #expect(secondsLeft(never) < 300, "\(revisit("F16", "Foundation arms a timer all the same"))")
    }

    @Test(
        "F7: a session costs a few MB of private memory, little processor time to start and fetch, and one connection"
    )
    func costsLittleMemoryAndTime() throws {
        let origin = try BadOrigin { try $0.respond(body: [1]) }
        try judge("the start of a process with a session", takesLessThan: .seconds(1)) {
            try elapsed { _ = try Probe() }
        }
        let probe = try Probe()
        let start = try probe.processorTime()
        #expect(start < .milliseconds(500))
        _ = try probe.outcome(origin.url())
        #expect(try probe.privateBytes() < 16 << 20)
        let (fetch, _) = try judge("the processor time of a fetch, and fetches a second") {
            let before = try probe.processorTime()
            let took = try elapsed { for _ in 0..<200 { _ = try probe.outcome(origin.url()) } }
            return (fetch: (try probe.processorTime() - before) / 200, rate: 200 / took.asSeconds)
        } by: { fetch, rate in
            fetch < .milliseconds(10) && rate > 50
        }
        #expect(origin.connections == 1)
        print(
            "figure: a process with a session: \(try probe.privateBytes() >> 10) KiB private, started in \(start), \(fetch) a fetch"
        )
    }
}
