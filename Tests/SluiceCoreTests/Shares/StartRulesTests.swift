import SluiceCore
import TestKit
import Testing

@Suite("How many lanes to start")
struct StartRulesTests {
    private static let millisecond: UInt64 = 1_000_000

    private func rules(processors: Int = 2, start: UInt64 = 10) -> StartRules {
        StartRules(processors: processors, startTime: start * Self.millisecond)
    }

    @Test("without lanes a start is begun on each processor, and no more until one is ready")
    func startsOneOnEachProcessor() {
        let rules = rules(processors: 4)
        #expect(rules.decide(.init(waiting: 64)) == .start(4))
        #expect(rules.decide(.init(waiting: 2)) == .start(2))
        #expect(rules.decide(.init(waiting: 0)) == .enough)
        #expect(rules.decide(.init(waiting: 3, coming: 2, starting: [0, 0])) == .start(1))
        #expect(rules.decide(.init(waiting: 2, coming: 2, starting: [0, 0])) == .enough)
        #expect(rules.decide(.init(waiting: 2, othersWaiting: 1, coming: 2, starting: [0, 0])) == .start(1))
        let full = rules.decide(.init(waiting: 64, coming: 4, starting: [0, 0, 0, Self.millisecond]))
        #expect(full == .full(999 * Self.millisecond + 1))
    }

    @Test("the lane that starts for one user alone takes a processor, and no job of others")
    func countsReservedLanesAsStartsOnly() {
        #expect(rules().decide(.init(waiting: 1, coming: 0, starting: [0])) == .start(1))
        #expect(rules().decide(.init(waiting: 5, coming: 0, starting: [0])) == .start(1))
    }

    @Test("a start that takes longer than a second does not hold others back")
    func slowStartsDoNotHoldOthersBack() {
        let slow = 1001 * Self.millisecond
        #expect(rules().decide(.init(waiting: 64, coming: 2, starting: [slow, slow])) == .start(2))
        #expect(rules().decide(.init(waiting: 2, coming: 2, starting: [slow, slow])) == .enough)
    }

    @Test("lanes with short bodies are waited for, unless they have work for longer than a start pays for")
    func waitsForShortBodies() {
        var rules = rules()
        for _ in 0..<20 { rules.ended(after: Self.millisecond) }
        let busy = [Self.millisecond, 2 * Self.millisecond]
        #expect(rules.decide(.init(waiting: 20, busy: busy)) == .later(8 * Self.millisecond))
        #expect(rules.decide(.init(waiting: 1000, busy: busy)) == .start(2))
        #expect(
            rules.decide(.init(waiting: 20, othersWaiting: 1000, busy: busy)) == .later(8 * Self.millisecond))
    }

    @Test("a lane that has been at work for longer than a start is not waited for")
    func doesNotWaitForLongBodies() {
        #expect(rules().decide(.init(waiting: 1, busy: [11 * Self.millisecond])) == .start(1))
    }

    @Test(
        "lanes that share the processors are waited for longer, but never for more than a quarter of a second"
    )
    func patienceGrowsToBound() {
        let young = [UInt64](repeating: 0, count: 64)
        #expect(rules().decide(.init(waiting: 1, busy: young)) == .later(250 * Self.millisecond))
        #expect(rules(start: 2).decide(.init(waiting: 1, busy: young)) == .later(64 * Self.millisecond))
        let old = [UInt64](repeating: 251 * Self.millisecond, count: 64)
        #expect(rules().decide(.init(waiting: 1, busy: old)) == .start(1))
    }

    @Test("a start of more than half a second says nothing about the next ones")
    func ignoresLongStarts() {
        var rules = rules()
        let before = rules
        rules.started(after: 501 * Self.millisecond)
        #expect(rules == before)
        rules.started(after: 500 * Self.millisecond)
        #expect(rules != before)
    }

    /// A machine with processors that are shared equally, and bodies that need some time of the network and then some
    /// processor time. All times are in ms.
    private struct Machine {
        struct Body {
            var work: Double
            /// Infinite for a body that never goes on.
            var network: Double
        }

        private enum Lane {
            case starting(left: Double, since: Double)
            case busy(work: Double, network: Double, since: Double)
            case idle

            /// For how long it needs a processor; nil if it needs none now.
            var work: Double? {
                switch self {
                case .starting(let left, _): left
                case .busy(let work, let network, _): network > 0 ? nil : work
                case .idle: nil
                }
            }
        }

        private static let moment = 1e-9

        let processors: Int
        /// Processor time of a start.
        let start: Double

        /// Runs all bodies, which come at once.
        ///
        /// - Parameter most: nil to follow the rules; else the number of lanes, which are started all at once.
        /// - Returns: the time to the last byte, and the number of lanes.
        func run(_ bodies: [Body], warm: Int, most: Int? = nil) -> (time: Double, lanes: Int) {
            var rules = StartRules(processors: processors, startTime: UInt64(start * 1e6))
            var lanes = [Lane](repeating: .idle, count: warm)
            if let most { while lanes.count < most { lanes.append(.starting(left: start, since: 0)) } }
            var queue = bodies[...]
            var now = 0.0
            while true {
                for index in lanes.indices {
                    if case .idle = lanes[index], let body = queue.popFirst() {
                        lanes[index] = .busy(work: body.work, network: body.network, since: now)
                    }
                }
                var reminder = Double.infinity
                if most == nil, !queue.isEmpty {
                    switch rules.decide(situation(lanes, waiting: queue.count, now)) {
                    case .start(let count):
                        for _ in 0..<count { lanes.append(.starting(left: start, since: now)) }
                    case .later(let time), .full(let time): reminder = Double(time) / 1e6
                    case .enough: break
                    }
                }
                let wanting = lanes.compactMap(\.work)
                let rate = min(1, Double(processors) / Double(max(1, wanting.count)))
                let networks = lanes.compactMap { lane -> Double? in
                    if case .busy(_, let network, _) = lane, network > 0 { network } else { nil }
                }
                let step = min((wanting.min() ?? .infinity) / rate, networks.min() ?? .infinity, reminder)
                guard step.isFinite else { return (now, lanes.count) }
                now += step
                for index in lanes.indices {
                    lanes[index] = lane(lanes[index], after: step, rate, now, &rules)
                }
            }
        }

        private func situation(_ lanes: [Lane], waiting: Int, _ now: Double) -> StartRules.Situation {
            var situation = StartRules.Situation(waiting: waiting)
            for lane in lanes {
                switch lane {
                case .starting(_, let since): situation.starting.append(UInt64((now - since) * 1e6))
                case .busy(_, _, let since): situation.busy.append(UInt64((now - since) * 1e6))
                case .idle: break
                }
            }
            situation.coming = situation.starting.count
            return situation
        }

        private func lane(
            _ lane: Lane, after step: Double, _ rate: Double, _ now: Double, _ rules: inout StartRules
        ) -> Lane {
            switch lane {
            case .starting(let left, let since):
                let left = left - step * rate
                if left > Self.moment { return .starting(left: left, since: since) }
                rules.started(after: UInt64((now - since) * 1e6))
                return .idle
            case .busy(let work, let network, let since) where network > 0:
                return .busy(
                    work: work, network: network - step > Self.moment ? network - step : 0, since: since)
            case .busy(let work, _, let since):
                let work = work - step * rate
                if work > Self.moment { return .busy(work: work, network: 0, since: since) }
                rules.ended(after: UInt64((now - since) * 1e6))
                return .idle
            case .idle: return .idle
            }
        }
    }

    @Test(
        "a burst takes little more than the time with the best number of lanes, and starts few more than that",
        arguments: [1, 2, 4, 16], [3.0, 20.0])
    func burstsAreNearTheBest(_ processors: Int, _ start: Double) {
        let machine = Machine(processors: processors, start: start)
        let bursts: [(String, [Machine.Body])] = [
            ("small", .init(repeating: .init(work: 0.5, network: 0.2), count: 64)),
            ("large", .init(repeating: .init(work: 5, network: 1), count: 64)),
            ("slow", .init(repeating: .init(work: 1, network: 200), count: 64)),
            ("stalled", (0..<64).map { .init(work: 0.5, network: $0 % 8 == 0 ? .infinity : 0.2) }),
            ("mixed", (0..<64).map { .init(work: $0 % 8 == 0 ? 20 : 0.5, network: $0 % 4 == 0 ? 50 : 0.2) }),
        ]
        for (name, bodies) in bursts {
            // Stalled bodies keep their lanes, so fewer lanes would never end.
            let counts = [1, 2, 4, 8, 16, 32, 64].filter { name != "stalled" || $0 > 8 }
            for warm in [0, 2] {
                let best = counts.map { machine.run(bodies, warm: warm, most: $0) }.min { $0.time < $1.time }
                guard let best else { continue }
                let ours = machine.run(bodies, warm: warm)
                print(
                    "figure: \(processors) processors, start \(start) ms, \(warm) warm, \(name): \(ours), best \(best)"
                )
                #expect(
                    ours.time <= 1.5 * best.time + 2 * start, "\(name), \(warm) warm: \(ours) against \(best)"
                )
            }
        }
    }
}
