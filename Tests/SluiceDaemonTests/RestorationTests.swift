import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import Systemd
import TestKit
import Testing
import Unix

@testable import SluiceDaemon

/// Two processes of the service, one after the other, with the store between them.
@Suite("What an earlier process has left", .serialized) struct RestorationTests {
    private let keeper = FakeKeeper()

    /// The first process: a job of which the consumer has `count` bytes, or that no lane has begun. It ends without
    /// having ended the job.
    private func firstProcess(delivers count: Int?, _ version: Version) throws -> OwnedDescriptor {
        let house = try House(keeper: keeper)
        let job = try JobRecord.example("a")
        let end: OwnedDescriptor
        if let count {
            let lane = house.warmUp()
            end = try house.enqueue(job)
            lane.reports(.responded(serial: lane.order?.serial ?? 0, .example(length: 5, version: version)))
            lane.delivers([UInt8](repeating: 1, count: count))
        } else {
            house.shortage = .noMemory
            end = try house.enqueue(job)
        }
        house.store.store(job)
        #expect(house.store.count == 1)
        house.lanes.forEach { $0.vanishes() }
        return end
    }

    /// A descriptor of the one job that is kept.
    private func kept(_ kind: DescriptorKind) throws -> OwnedDescriptor {
        var copies = keeper.handOver()
        guard var group = copies.take(keeper.stored.keys.first ?? ""), let found = group.take(kind) else {
            throw TestFailure("the store has no \(kind)")
        }
        return found
    }

    /// The second process, with what the first one has left.
    private func secondProcess() throws -> House {
        let house = try House(keeper: keeper)
        Restoration(scheduler: house.scheduler, store: house.store, log: .silent).run(keeper.handOver())
        return house
    }

    private let strong = Version { $0 == "etag" ? "\"v1\"" : nil }

    @Test("a job that had no lane begins at its first byte")
    func jobWithoutLaneBegins() throws {
        let end = try firstProcess(delivers: nil, strong)
        let house = try secondProcess()
        let lane = house.warmUp()
        #expect(lane.order?.position == 0 && house.scheduler.running.count == 1)
        lane.delivers([1])
        lane.ends(Outcome(.complete, "done"))
        #expect(house.states["a"]?.last == .complete && end.readSome() == 1 && end.readSome() == 0)
        #expect(keeper.stored.isEmpty, "an ended job is not kept")
    }

    @Test("a body goes on with the byte after those that the consumer has")
    func bodyGoesOn() throws {
        let end = try firstProcess(delivers: 3, strong)
        let house = try secondProcess()
        let lane = house.warmUp()
        #expect(lane.order?.position == 3 && lane.order?.known?.version == strong)
        #expect(end.readSome() == 3)
    }

    @Test("a body without a validator ends with an exact prefix")
    func bodyWithoutValidatorEnds() throws {
        let end = try firstProcess(delivers: 3, .unnamed)
        let house = try secondProcess()
        #expect(house.states["a"]?.last == .failed)
        #expect(end.readSome() == 3 && end.readSome() == 0)
    }

    @Test("a job whose consumer has gone meanwhile ends")
    func consumerHasGone() throws {
        do { _ = try firstProcess(delivers: 3, strong) }
        let house = try secondProcess()
        #expect(house.turn { house.states["a"]?.last == .failed })
        #expect(keeper.stored.isEmpty)
    }

    @Test("what is no job is removed from the store, and the others go on")
    func strangersAreRemoved() throws {
        let pipe = try Pipe()
        _ = keeper.store(name: "x", descriptors: [pipe.readEnd.rawValue])
        let end = try firstProcess(delivers: 3, strong)
        let house = try secondProcess()
        #expect(keeper.stored["x"] == nil && house.store.count == 1)
        #expect(house.warmUp().order?.position == 3)
        _ = consume end
    }

    @Test("a job that is stored twice is restored once")
    func storedTwice() throws {
        let end = try firstProcess(delivers: 3, strong)
        let record = try kept(.recordFile)
        _ = keeper.store(name: "zzzz", descriptors: [record.rawValue])
        let house = try secondProcess()
        #expect(keeper.stored.count == 1 && house.store.count == 1)
        _ = consume end
    }

    @Test("a damaged ledger ends its job as uncertain")
    func damagedLedger() throws {
        let end = try firstProcess(delivers: 3, strong)
        let file = try kept(.counterPage)
        let ledger = try #require(Ledger(existing: try SharedCounters(mapping: file)))
        // More than it has received.
        ledger.beginFill(filled: 1 << 20)
        ledger.endFill(filled: 1 << 20)
        let house = try secondProcess()
        #expect(house.states["a"]?.last == .failed)
        _ = consume end
    }
}
