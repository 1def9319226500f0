import EventLoop
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import Testing
import Unix

@testable import SluiceDaemon

/// A pool of lanes that the tests speak for.
@Suite("The pool of lanes", .serialized) struct LanePoolTests {
    /// In ns; moved by hand.
    private final class Time {
        var now: UInt64 = 0
    }

    private final class Pool {
        let loop: EventLoop
        let pool: LanePool
        let fakes = FakeLanes()
        let time = Time()
        var transports: [FakeLane] { fakes.all }
        private(set) var told: [String] = []
        /// How often the pool has said that a lane may be had.
        private(set) var offers = 0

        init(
            minimum: Int = 1, maximum: Int = 3, idleSeconds: Double = 60,
            rules: StartRules = StartRules(processors: .max, startTime: 0), clock: (() -> UInt64)? = nil
        ) throws {
            var settings = Settings().lanes
            settings.minimum = minimum
            settings.maximum = maximum
            settings.idleSeconds = idleSeconds
            loop = try EventLoop()
            pool = fakes.makePool(on: loop, settings, rules: rules, clock: clock ?? { [time] in time.now })
        }

        func start() {
            pool.start(
                LanePool.Events(
                    available: { [unowned self] in offers += 1 }, report: { _, _ in },
                    died: { [unowned self] _, _ in told.append("died") },
                    unavailable: { [unowned self] _, served in
                        told.append("unavailable but to \(served.sorted())")
                    },
                    warm: { [unowned self] in told.append("warm") },
                    neverWarm: { [unowned self] in told.append($0) }))
        }

        /// A lane for a job; the next one that is started is ready at once.
        func lane(for user: UInt32, _ url: String = "http://a/", needsKey: Bool = false) throws -> Lane? {
            let need = LaneRoster.Need(userID: user, origin: try RequestURL(url).origin, needsKey: needsKey)
            if case .lane(let lane) = pool.take(for: need, waiting: 1, othersWaiting: 0) { return lane }
            for transport in transports where !transport.hasEnded { transport.isReady() }
            return pool.takeWaiting(for: need)
        }

        /// Asks for lanes for a number of jobs of a user.
        func supply(for user: UInt32, _ count: Int, others: Int = 0) throws -> LanePool.Supply {
            let need = LaneRoster.Need(
                userID: user, origin: try RequestURL("http://a/").origin, needsKey: false)
            return pool.take(for: need, waiting: count, othersWaiting: others)
        }
    }

    @Test("keeps the minimum number of lanes warm, also after a lane has died")
    func keepsMinimumWarm() throws {
        let house = try Pool(minimum: 2)
        house.start()
        #expect(house.transports.count == 2 && house.told == [])
        house.transports.forEach { $0.isReady() }
        #expect(house.told == ["warm"] && house.pool.counts.idle == 2)
        house.transports[0].dies()
        #expect(house.told == ["warm", "died"] && house.transports.count == 3 && house.pool.deaths == 1)
    }

    @Test("gives a user the lane that asked the same origin, then one of the user's own, then a fresh one")
    func prefersLaneOfSameOrigin() throws {
        let house = try Pool(minimum: 2, maximum: 2)
        house.start()
        house.transports.forEach { $0.isReady() }
        let first = try #require(try house.lane(for: 7, "http://a/"))
        let second = try #require(try house.lane(for: 7, "http://b/"))
        house.pool.giveBack(first)
        house.pool.giveBack(second)
        let again = try #require(try house.lane(for: 7, "http://b/x"))
        let other = try #require(try house.lane(for: 7, "http://c/"))
        #expect(again === second && other === first && house.pool.starts == 2)
        #expect(other.originBefore == (try RequestURL("http://a/").origin))
    }

    @Test("never gives a lane to another user; the one that has been idle for longest makes room")
    func neverSharesLanesBetweenUsers() throws {
        let house = try Pool(minimum: 0, maximum: 2)
        house.start()
        let first = try #require(try house.lane(for: 7))
        let second = try #require(try house.lane(for: 8))
        house.pool.giveBack(second)
        house.time.now += 1
        house.pool.giveBack(first)
        let third = try #require(try house.lane(for: 9))
        #expect(third !== first && third !== second && second.isRetired && !first.isRetired)
    }

    @Test("starts no more lanes than the maximum, except one for root when all lanes are taken")
    func keepsReserveForRoot() throws {
        let house = try Pool(minimum: 0, maximum: 2)
        house.start()
        #expect(!house.pool.keepsReserve)
        _ = try house.lane(for: 7)
        _ = try house.lane(for: 8)
        #expect(try house.lane(for: 9) == nil && house.pool.starts == 2)
        #expect(house.pool.keepsReserve)
        let need = LaneRoster.Need(userID: 0, origin: try RequestURL("http://a/").origin, needsKey: false)
        #expect(house.pool.takeReserved(for: need) == nil && house.pool.starts == 3)
        house.transports[2].isReady()
        let lane = house.pool.takeReserved(for: need)
        #expect(lane != nil && !house.pool.keepsReserve)
        let other = try house.lane(for: 9)
        #expect(other == nil, "the lane kept for root is nobody else's")
    }

    @Test("gives a private key only to a fresh lane, which then asks only the key's host")
    func keepsPrivateKeysApart() throws {
        let house = try Pool(minimum: 0, maximum: 3)
        house.start()
        let first = try #require(try house.lane(for: 7))
        house.pool.giveBack(first)
        let second = try #require(try house.lane(for: 7, needsKey: true))
        #expect(second !== first)
        second.certificateHost = "a"
        house.pool.giveBack(second)
        let third = try #require(try house.lane(for: 7, "http://b/"))
        #expect(third === first, "the lane with the key asks its host alone")
    }

    @Test("kills a lane of another version, counts a failed start, and pauses before the next start")
    func pausesAfterFailedStart() throws {
        let house = try Pool(minimum: 1)
        house.start()
        house.transports[0].isReady()
        house.transports[0].dies()
        house.transports[1].reports(.ready(wire: LaneReport.wire + 1, confinement: .full))
        #expect(house.transports[1].isKilled)
        house.transports[1].dies()
        #expect(house.pool.failures == 1 && house.pool.trouble?.contains("version") == true)
        #expect(house.transports.count == 2)
        #expect(house.loop.run { house.transports.count == 3 })
    }

    @Test("reports which users it can still serve when no lane can be started")
    func reportsUsersStillServed() throws {
        let house = try Pool(minimum: 0)
        house.start()
        _ = try #require(try house.lane(for: 7))
        house.fakes.shortage = .permissionDenied
        #expect(
            house.loop.run {
                _ = try? house.lane(for: 8)
                return house.told.count > 1
            })
        #expect(house.told == ["warm", "unavailable but to [7]"])
    }

    @Test("gives up when all lanes that were asked for together cannot be made", arguments: [1, 3])
    func givesUpWhenNoneCanBeMade(_ count: Int) throws {
        let house = try Pool(minimum: 0, maximum: 9)
        house.start()
        house.transports.forEach { $0.isReady() }
        _ = try #require(try house.lane(for: 7))
        #expect(
            house.loop.run {
                _ = try? house.supply(for: 8, count)
                for transport in house.transports.dropFirst() where !transport.hasEnded {
                    transport.startError = .permissionDenied
                    transport.dies(.signalled(0))
                }
                return house.told.count > 1
            })
        #expect(house.told == ["warm", "unavailable but to [7]"])
    }

    @Test("starts no more lanes at a time than there are processors, whoever waits")
    func startsAsManyAsProcessors() throws {
        let house = try Pool(
            minimum: 0, maximum: 9, rules: StartRules(processors: 2, startTime: 1_000_000_000))
        house.start()
        house.transports.forEach { $0.isReady() }
        let before = house.pool.starts
        while case .lane = try house.supply(for: 7, 9) {}
        guard case .none = try house.supply(for: 8, 9, others: 9) else { throw Unexpected() }
        #expect(house.pool.starts == before + 2)
        house.transports.last?.isReady()
        guard case .lane = try house.supply(for: 8, 9) else { throw Unexpected() }
        guard case .starting = try house.supply(for: 9, 9) else { throw Unexpected() }
        #expect(house.pool.starts == before + 3)
    }

    @Test(
        "lets a user's jobs wait for that user's lanes, and asks again when these turn out to be slow; others get new lanes"
    )
    func waitsForLanesOfSameUser() throws {
        let house = try Pool(minimum: 0, maximum: 9, rules: StartRules(processors: 2, startTime: 40_000_000))
        house.start()
        let lane = try #require(try house.lane(for: 7))
        let (starts, offers) = (house.pool.starts, house.offers)
        // A start takes 30 ms by now, since the first one has taken none.
        guard case .soon = try house.supply(for: 7, 1) else { throw Unexpected() }
        #expect(house.pool.starts == starts)
        guard case .starting = try house.supply(for: 8, 1) else { throw Unexpected() }
        #expect(house.pool.starts == starts + 1, "user 8 has no lane to wait for")
        #expect(house.loop.run { house.offers > offers })
        house.time.now += 30_000_000
        guard case .starting = try house.supply(for: 7, 2) else { throw Unexpected() }
        #expect(house.pool.starts == starts + 2, "the lane's body is long")
        withExtendedLifetime(lane) {}
    }

    private struct Unexpected: Error {}

    @Test(
        "after a crash the lanes of the same nursery get no more jobs, and the minimum is restored; others stay"
    )
    func retiresSiblingsOfCrashedLane() throws {
        let house = try Pool(minimum: 2, maximum: 9)
        house.start()
        var crashes: [Int] = []
        house.pool.onFate = { if case .crashed = $1 { crashes.append($0) } }
        house.transports.forEach { $0.isReady() }
        let lanes = try (0..<4).map { _ in try #require(try house.lane(for: 7)) }
        for (transport, nursery) in zip(house.transports, [1, 1, 2, nil]) { transport.nursery = nursery }
        house.transports[0].dies(.signalled(SIGSEGV))
        let siblings = lanes.filter { $0.nursery == 1 && !$0.hasEnded }
        let others = lanes.filter { $0.nursery != 1 }
        #expect(crashes == [1] && siblings.count == 1)
        #expect(siblings.allSatisfy(\.mustRetire) && !others.contains(where: \.mustRetire))
        for lane in siblings + others { house.pool.giveBack(lane) }
        #expect(siblings.allSatisfy(\.isRetired) && !others.contains(where: \.isRetired))
        house.transports[3].dies(.signalled(SIGSEGV))
        #expect(crashes == [1], "a lane that was started as a program has no siblings")
        #expect(house.pool.counts.idle + house.pool.counts.starting >= 2)
    }

    @Test(
        "a nursery learns that a lane was ready, or that it ended before that by itself",
        arguments: [
            (nil, [.ready]), (.exited(1), [.failed]), (.signalled(SIGSEGV), [.failed]),
            (.exited(LaneExit.shortage), []), (.signalled(SIGKILL), []),
        ] as [(ProcessExit?, [Nursery.Fate])])
    func tellsFates(_ exit: ProcessExit?, _ expected: [Nursery.Fate]) throws {
        let house = try Pool(minimum: 1, maximum: 9)
        house.start()
        var fates: [Nursery.Fate] = []
        house.pool.onFate = { fates += $0 == 3 ? [$1] : [] }
        house.transports[0].nursery = 3
        if let exit { house.transports[0].dies(exit) } else { house.transports[0].isReady() }
        #expect(fates == expected)
    }

    @Test("a lane whose process has ended gets no job, although it was ready once")
    func passesOverEndedLane() throws {
        let house = try Pool(minimum: 1, maximum: 9)
        house.start()
        house.transports[0].isReady()
        house.transports[0].vanishes()
        guard case .starting = try house.supply(for: 7, 1) else { throw Unexpected() }
        #expect(house.transports.count == 2)
    }

    @Test("retires idle lanes that a user has had, and keeps fresh ones")
    func retiresIdleUsedLanes() throws {
        let house = try Pool(minimum: 1, maximum: 3, idleSeconds: 0.01, clock: Monotonic.nanoseconds)
        house.start()
        house.transports[0].isReady()
        let lane = try #require(try house.lane(for: 7))
        house.pool.giveBack(lane)
        #expect(house.loop.run { lane.isRetired && house.transports.count == 2 })
        house.transports[0].dies()
        house.transports[1].isReady()
        #expect(house.pool.counts.idle == 1 && house.pool.deaths == 0)
    }
}
