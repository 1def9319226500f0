import SluiceCore
import Testing

@Suite("Whose turn it is")
struct FairShareTests {
    /// Lanes, users whose jobs have lengths of their own, and a clock that goes from the end of one job to the next.
    private struct Scene {
        var share = FairShare()
        var now: UInt64 = 1_000_000_000
        let lanes: Int
        /// How long the jobs of each user take, in ms.
        let lengths: [UInt32: UInt64]
        /// Number of waiting jobs of each user; nil for an endless supply.
        var waiting: [UInt32: Int?] = [:]
        /// The users that have a lane, each with the time until which they have it.
        var running: [(user: UInt32, end: UInt64)] = []
        /// Lane time of each user, in ns.
        var served: [UInt32: UInt64] = [:]
        var order: [UInt32] = []
        var mayRun: (UInt32, Int) -> Bool = { _, _ in true }

        init(lanes: Int, lengths: [UInt32: UInt64]) {
            self.lanes = lanes
            self.lengths = lengths
        }

        mutating func comes(_ user: UInt32, jobs: Int? = nil, weight: Int = 1) {
            waiting[user] = .some(jobs)
            share.waits(user, weight: weight, at: now)
            fill()
        }

        private mutating func fill() {
            while running.count < lanes, let user = share.next(at: now, mayRun: mayRun) {
                share.begins(user, at: now)
                order.append(user)
                running.append((user, now + (lengths[user] ?? 1) * 1_000_000))
                if let count = waiting[user] ?? nil {
                    waiting[user] = .some(count - 1)
                    if count == 1 { share.stopsWaiting(user, at: now) }
                }
            }
        }

        mutating func run(milliseconds: UInt64) {
            let end = now + milliseconds * 1_000_000
            while let next = running.indices.min(by: { running[$0].end < running[$1].end }),
                running[next].end <= end
            {
                let lane = running.remove(at: next)
                now = max(now, lane.end)
                served[lane.user, default: 0] += (lengths[lane.user] ?? 1) * 1_000_000
                share.ends(lane.user, at: now)
                fill()
            }
            now = end
        }

        func share(of user: UInt32) -> Double {
            Double(served[user] ?? 0) / Double(served.values.reduce(0, +))
        }
    }

    @Test(
        "users get time on lanes in proportion to their weights, however long their jobs take",
        arguments: [1, 3, 16, 96], [[10, 10, 10], [100, 500, 3000], [1, 1, 20], [2000, 2000, 2000]])
    func sharesLaneTimeByWeight(lanes: Int, lengths: [UInt64]) {
        var scene = Scene(lanes: lanes, lengths: [1: lengths[0], 2: lengths[1], 3: lengths[2]])
        scene.comes(1, weight: 1)
        scene.comes(2, weight: 2)
        scene.comes(3, weight: 5)
        scene.run(milliseconds: 100 * (lengths.max() ?? 0))
        for (user, part) in [(1, 0.125), (2, 0.25), (3, 0.625)] as [(UInt32, Double)] {
            let share = scene.share(of: user)
            // Lanes are indivisible: with three of them no user can have an eighth at a time, but each gets it in the
            // long run.
            #expect(abs(share - part) < 0.03, "user \(user) has \(share) of the time")
        }
    }

    @Test("lanes that are free at the same moment are shared by weight at once", arguments: [1, 3])
    func sharesFreeLanesAtOnce(weight: Int) {
        var scene = Scene(lanes: 0, lengths: [:])
        scene.comes(1, weight: weight)
        scene.comes(2)
        var held: [UInt32: Int] = [:]
        for _ in 0..<96 {
            guard let user = scene.share.next(at: scene.now, mayRun: { _, _ in true }) else { break }
            scene.share.begins(user, at: scene.now)
            held[user, default: 0] += 1
        }
        #expect(abs((held[2] ?? 0) - 96 / (weight + 1)) <= 1, "\(held)")
    }

    @Test(
        "a new user's first job gets the next lane, and earlier use does not count against the other user",
        arguments: [1, 96])
    func newcomerGetsNextLane(lanes: Int) {
        var scene = Scene(lanes: lanes, lengths: [1: 60_000, 2: 60_000])
        scene.comes(1)
        scene.run(milliseconds: 3_600_000)
        scene.order = []
        scene.comes(2)
        scene.run(milliseconds: 61_000)
        #expect(scene.order.first == 2)
        // What the other user had before is not held against it.
        scene.served = [:]
        scene.run(milliseconds: 1_200_000)
        #expect(abs(scene.share(of: 1) - 0.5) < 0.06, "\(scene.share(of: 1))")
    }

    @Test("users with a thousand jobs delay another user's single job by no more than one job")
    func singleJobIsNotDelayedLong() {
        var scene = Scene(lanes: 4, lengths: [1: 100, 2: 100, 3: 100])
        scene.comes(1, jobs: 1000)
        scene.comes(2, jobs: 1000)
        scene.run(milliseconds: 2_000)
        scene.order = []
        scene.comes(3, jobs: 1)
        scene.run(milliseconds: 101)
        #expect(scene.order.prefix(1) == [3])
    }

    @Test("a user whose jobs could not run for a while gets no extra time for it afterwards")
    func barredUserCatchesUpNothing() {
        var scene = Scene(lanes: 10, lengths: [1: 50, 2: 50])
        scene.comes(1)
        scene.comes(2)
        scene.mayRun = { user, held in user == 1 || held < 1 }
        scene.run(milliseconds: 600_000)
        #expect(scene.share(of: 2) < 0.15)
        scene.mayRun = { _, _ in true }
        scene.served = [:]
        scene.run(milliseconds: 10_000)
        #expect(abs(scene.share(of: 1) - 0.5) < 0.1, "\(scene.share(of: 1))")
    }

    @Test(
        "a user that waits at its own limit keeps its share when another user comes"
    )
    func keepsShareAtOwnLimit() {
        var scene = Scene(lanes: 10, lengths: [1: 1000, 2: 1000])
        scene.mayRun = { user, held in user == 2 || held < 5 }
        scene.comes(1)
        scene.run(milliseconds: 3_600_000)
        scene.comes(2)
        scene.served = [:]
        scene.run(milliseconds: 20_000)
        #expect(abs(scene.share(of: 1) - 0.5) < 0.1, "\(scene.share(of: 1))")
    }

    @Test("a user that neither waits nor has a lane is forgotten")
    func forgetsUsersWithoutJobs() {
        var share = FairShare()
        #expect(share.isEmpty)
        share.waits(1, weight: 1, at: 5)
        share.begins(1, at: 6)
        share.stopsWaiting(1, at: 6)
        let next = share.next(at: 7, mayRun: { _, _ in true })
        #expect(next == nil)
        #expect(!share.isEmpty && share.lanes(of: 1) == 1)
        share.ends(1, at: 8)
        #expect(share.isEmpty && share.lanes(of: 1) == 0)
        // A user that never waited.
        share.ends(2, at: 9)
        #expect(share.isEmpty)
    }
}
