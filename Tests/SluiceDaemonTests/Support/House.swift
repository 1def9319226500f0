import EventLoop
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import Unix

@testable import SluiceDaemon

/// A scheduler with its pool and store, and lanes that the tests speak for, on a loop that the tests turn.
final class House {
    let loop: EventLoop
    let scheduler: Scheduler
    let store: JobStore
    let keeper: FakeKeeper
    private let fakes = FakeLanes()
    var lanes: [FakeLane] { fakes.all }
    /// Why no lane can be started.
    var shortage: Errno? {
        get { fakes.shortage }
        set { fakes.shortage = newValue }
    }
    var states: [String: [JobState]] = [:]
    private(set) var warmth: [String] = []

    /// - Parameter keeper: keeps the jobs; nil for a service without a store.
    init(keeper: FakeKeeper? = nil, _ change: (inout Settings) -> Void = { _ in }) throws {
        var settings = Settings()
        settings.lanes.minimum = 1
        settings.lanes.maximum = 2
        settings.retries.pauses.base = 0.001
        change(&settings)
        loop = try EventLoop()
        weak var house: House?
        let pool = fakes.makePool(on: loop, settings.lanes)
        self.keeper = keeper ?? FakeKeeper()
        store = JobStore(
            loop: loop, keeper: self.keeper, isEnabled: keeper != nil, outcomes: nil, settings: settings,
            log: .silent)
        let pipes = PipeRegister(settings: settings, log: .silent, later: { _, _ in })
        scheduler = Scheduler(
            loop: loop, pool: pool, pipes: pipes, store: store, settings: settings, log: .silent)
        house = self
        scheduler.onChange = { house?.states[$0.id, default: []].append($0.machine.publicState) }
        scheduler.onWarm = { house?.warmth.append("warm") }
        scheduler.onNeverWarm = { _ in house?.warmth.append("never") }
    }

    /// Starts it, and has the first lane be ready.
    func warmUp() -> FakeLane {
        scheduler.start()
        lanes[0].isReady()
        return lanes[0]
    }

    /// A job with a pipe, whose read end this returns.
    func enqueue(_ job: JobRecord) throws -> OwnedDescriptor {
        let pipe = try Pipe()
        scheduler.register(job)
        scheduler.enqueue(job, sink: pipe.writeEnd, isPipe: true)
        return pipe.readEnd
    }

    func turn(until condition: @escaping () -> Bool) -> Bool { loop.run(until: condition) }
}
