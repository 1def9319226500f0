import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import Synchronization
import TestKit
import Testing
import Unix

@testable import SluiceLane

/// What a lane answers when the daemon asks whether it is alive.
@Suite("A lane that is asked")
struct ProbeTests {
    private static let pattern = Pattern(seed: 94)
    /// The serial number of `LaneOrder.test`.
    private static let serial = 7

    /// A session's queue that does its work when the test says so.
    private final class FakeQueue: SessionQueue {
        private let waiting = Mutex<[@Sendable () -> Void]>([])

        func whenIdle(_ work: @escaping @Sendable () -> Void) {
            waiting.withLock { $0.append(work) }
        }

        var count: Int { waiting.withLock { $0.count } }

        func run() {
            let all = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            for work in all { work() }
        }
    }

    @Test("does not answer before the session's queue has run, and so never while the session hangs")
    func noAnswerWhileSessionHangs() {
        let queue = FakeQueue()
        let answers = Atomic(0)
        Probe.run(isOriginsTurn: true, on: queue) { answers.add(1, ordering: .relaxed) }
        #expect(queue.count == 1)
        #expect(answers.load(ordering: .relaxed) == 0)
        queue.run()
        #expect(answers.load(ordering: .relaxed) == 1)
    }

    @Test("answers at once while it is the consumer's turn, and does not use the session's queue")
    func answersAtOnceOnConsumersTurn() {
        let queue = FakeQueue()
        let answers = Atomic(0)
        Probe.run(isOriginsTurn: false, on: queue) { answers.add(1, ordering: .relaxed) }
        #expect(answers.load(ordering: .relaxed) == 1)
        #expect(queue.count == 0)
    }

    // MARK: Lane processes

    private func expectAnswer(_ lane: LaneBench, _ job: LaneTestJob, _ number: Int) throws {
        try lane.send(.probe(serial: Self.serial, number: number))
        try eventually("the answer") { job.ledger.pulse.answered == UInt64(number) }
    }

    @Test("answers in the job's ledger while its origin is silent, before the head and in mid-body")
    func answersWhileOriginIsSilent() throws {
        let head = try Gate()
        let end = try Gate()
        let origin = try BadOrigin { connection in
            try connection.wait(for: head)
            try connection.sendHead(headers: ["Content-Length: 2000"])
            try connection.send(Self.pattern, 0..<1000)
            try connection.wait(for: end)
            try connection.send(Self.pattern, 1000..<2000)
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern)
        try lane.begin(.test(origin.url()), of: job)
        try origin.waitForRequests(1)
        for number in [1, 2, 9] { try expectAnswer(lane, job, number) }
        head.open()
        try job.reader.waitForCount(1000)
        // A question about another job does not count, and an old question changes nothing.
        try lane.send(.probe(serial: Self.serial + 1, number: 50))
        try lane.send(.probe(serial: Self.serial, number: 4))
        try expectAnswer(lane, job, 10)
        end.open()
        #expect(try lane.end().outcome.code == .complete)
        #expect(try job.check() == 2000)
        // The account is closed: the lane writes nothing into the ledger any more.
        try lane.send(.probe(serial: Self.serial, number: 60))
        let next = try LaneTestJob(Self.pattern)
        #expect(try lane.run(.test(origin.url()), of: next).outcome.code == .complete)
        #expect(job.ledger.pulse.answered == 10 && next.ledger.pulse.answered == 0)
    }

    @Test("answers behind a closed gate, where the session's thread waits for the consumer")
    func answersBehindClosedGate() throws {
        let size = 8 << 20
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: size) }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, pace: .stopAt(1000))
        try lane.begin(.test(origin.url()), of: job)
        try lane.waitFor("stalled") { if case .stalled = $0 { true } else { false } }
        #expect(job.ledger.read().closedSinceNanoseconds > 0)
        for number in 1...3 { try expectAnswer(lane, job, number) }
        job.reader.release()
        #expect(try lane.end().outcome.code == .complete)
        #expect(try job.check() == size)
    }

    @Test("answers while bytes come without a pause and none of them are for the consumer")
    func answersWhileDroppingBytes() throws {
        let position = 1 << 40
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["ETag: \"v1\"", "Content-Length: \(position * 2)"])
            connection.sendForever(Self.pattern)
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: position)
        let known = Representation.test(origin.url(), length: position * 2)
        try lane.begin(.test(origin.url(), position: position, known: known), of: job)
        try origin.waitForBytes(8 << 20)
        let counters = job.ledger.pulse.counters
        for number in 1...20 { try expectAnswer(lane, job, number) }
        #expect(job.ledger.pulse.counters == counters)
        try lane.send(.end(serial: Self.serial))
        #expect(try lane.end().outcome.code == .cancelled)
    }
}
