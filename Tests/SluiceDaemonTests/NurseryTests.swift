import EventLoop
import Glibc
import LaneProtocol
import SystemPackage
import TestKit
import Testing
import Unix

@testable import SluiceDaemon

@Suite("The daemon's side of the nursery", .serialized)
struct NurseryTests {
    /// A nursery without a process: a test answers for it.
    private final class FakeNursery: NurseryTransport {
        var onReply: (NurseryReply?, inout ReceivedDescriptors) -> Void = { _, _ in }
        var onExit: (ProcessExit) -> Void = { _ in }
        private(set) var asked = 0
        private(set) var isHungUp = false
        private(set) var isKilled = false
        /// What `look` finds.
        var unread: [NurseryReply] = []
        var isBehind = false

        func ask(_ ends: borrowing LaneEnds) throws(Errno) {
            if isBehind { throw .wouldBlock }
            asked += 1
        }

        func look() {
            let those = unread
            unread = []
            those.forEach(says)
        }

        func hangUp() { isHungUp = true }
        func kill() { isKilled = true }

        func says(_ reply: NurseryReply?) {
            var none = ReceivedDescriptors()
            onReply(reply, &none)
        }

        /// Says that it has forked a process, which is a real one.
        func forks(_ child: Child) { says(.started(child.processID)) }
    }

    /// A child of this process that ends at once.
    private struct Child {
        let processID: Int32

        init() throws {
            processID = try SpawnedProcess(path: "/bin/true", environment: []).processID
        }
    }

    private final class House {
        let loop: EventLoop
        let nursery: Nursery
        private(set) var processes: [FakeNursery] = []
        /// The number of the nursery that each lane comes from; nil for one that must be started as a program.
        private(set) var answers: [Int?] = []
        var image = "/bin/true"
        var shortage: Errno?
        private let log = Log()

        var failures: [String] { log.failures }
        var latest: FakeNursery { processes[processes.count - 1] }

        private final class Log: LaneLog {
            var failures: [String] = []
            func nurseryFailed(_ reason: String) { failures.append(reason) }
            func laneStarted(_ processID: Int32) {}
            func laneCannotStart(_ reason: String) {}
            func laneSays(_ processID: Int32, _ line: String) {}
            func lanesLessConfined(_ missing: [String]) {}
            func lanesUnavailable(_ reason: String) {}
        }

        init(_ times: Nursery.Times = .init(firstPause: .milliseconds(1), pauseAfterCrash: .milliseconds(1)))
            throws
        {
            final class Later { weak var house: House? }
            let later = Later()
            loop = try EventLoop()
            nursery = Nursery(loop: loop, log: log, times: times) {
                LaneImage(of: later.house?.image ?? "")
            } makeProcess: { () throws(Errno) in
                if let shortage = later.house?.shortage { throw shortage }
                let process = FakeNursery()
                later.house?.processes.append(process)
                return process
            }
            later.house = self
            nursery.start()
        }

        func fork() throws {
            let pair = try UnixSocket.seqpacketPair()
            nursery.fork(LaneEnds(control: pair.first, words: pair.second)) { [self] in
                switch consume $0 {
                case .started(let process, _, let number):
                    _ = try? process.wait()
                    answers.append(number)
                case .none: answers.append(nil)
                }
            }
        }

        func waits(_ isDone: @escaping () -> Bool) -> Bool { loop.run(until: isDone) }
    }

    @Test("lanes that are asked for while it starts are forked as soon as it is ready, and answered in order")
    func waitsForStart() throws {
        let house = try House()
        #expect(house.nursery.canFork)
        try house.fork()
        try house.fork()
        #expect(house.latest.asked == 0)
        house.latest.says(.ready)
        #expect(house.latest.asked == 2 && house.answers.isEmpty)
        house.latest.forks(try Child())
        #expect(house.answers == [1])
        house.latest.says(.failed(EAGAIN))
        #expect(house.answers == [1, nil] && house.failures.count == 1)
        #expect(house.nursery.canFork, "a fork that fails may succeed the next time")
    }

    @Test(
        "one that starts slowly is waited for, but lanes are not: they are started as programs until it is ready"
    )
    func lanesDoNotWaitForSlowStart() throws {
        let house = try House(.init(answer: .milliseconds(1)))
        try house.fork()
        #expect(house.waits { house.answers == [nil] })
        #expect(!house.nursery.canFork && !house.latest.isKilled)
        house.latest.says(.ready)
        #expect(house.nursery.canFork && house.failures.isEmpty)
    }

    @Test("one that is never ready is killed, and another one is started")
    func replacesOneThatIsNeverReady() throws {
        let house = try House(.init(start: .milliseconds(1), firstPause: .milliseconds(1)))
        #expect(house.waits { house.processes.count > 1 })
        #expect(house.processes[0].isKilled)
        house.processes[0].onExit(.signalled(SIGKILL))
        #expect(house.failures[0].hasPrefix("it was not ready"))
    }

    @Test("one that does not answer is killed after twice the time, and its lanes are started as programs")
    func replacesOneThatHangs() throws {
        let house = try House(.init(answer: .milliseconds(2), firstPause: .milliseconds(1)))
        house.latest.says(.ready)
        try house.fork()
        try house.fork()
        #expect(house.waits { house.answers == [nil, nil] && house.processes.count == 2 })
        #expect(house.processes[0].isKilled && house.failures == ["it did not answer within 0.004 seconds"])
    }

    @Test("an answer that has come but was not read is no reason to kill it")
    func looksBeforeItBlames() throws {
        let house = try House(.init(answer: .milliseconds(1)))
        house.latest.says(.ready)
        try house.fork()
        house.latest.unread = [.started(try Child().processID)]
        #expect(house.waits { house.answers == [1] })
        #expect(!house.latest.isKilled && house.failures.isEmpty)
    }

    @Test("where it dies, lanes are started as programs, and another one is started after a growing pause")
    func deathCostsTime() throws {
        let house = try House()
        house.latest.says(.ready)
        try house.fork()
        house.latest.onExit(.signalled(SIGKILL))
        #expect(!house.nursery.canFork)
        #expect(house.waits { house.answers == [nil] && house.processes.count == 2 })
        #expect(house.failures == ["it ended with signal 9"])
    }

    @Test("lanes that do not start are its fault, until one was ready; pauses grow meanwhile")
    func failedLanesDiscreditIt() throws {
        let house = try House(.init(firstPause: .milliseconds(8), longestPause: .milliseconds(40)))
        var pauses: [Duration] = []
        for number in 1...4 {
            house.latest.says(.ready)
            let start = ContinuousClock.now
            house.nursery.lane(of: number, is: .failed)
            #expect(house.latest.isHungUp && !house.nursery.canFork)
            #expect(house.waits { house.processes.count == number + 1 })
            pauses.append(start.duration(to: .now))
        }
        #expect(zip(pauses, [8, 16, 32, 40]).allSatisfy { $0 >= .milliseconds($1) }, "\(pauses)")
        house.nursery.lane(of: 4, is: .failed)
        #expect(house.nursery.canFork, "that one has gone long since")
    }

    @Test("after a crash of a lane its nursery is replaced, and nothing is reported")
    func crashReplacesIt() throws {
        let house = try House()
        house.latest.says(.ready)
        house.nursery.lane(of: 1, is: .crashed)
        #expect(house.latest.isHungUp && !house.nursery.canFork)
        #expect(house.waits { house.processes.count == 2 } && house.failures.isEmpty)
    }

    @Test(
        "after an upgrade another one is started, and lanes wait for it; answers that have come are not lost")
    func upgradeReplacesIt() throws {
        let house = try House()
        house.latest.says(.ready)
        try house.fork()
        house.latest.unread = [.started(try Child().processID)]
        house.image = "/bin/sh"
        #expect(house.nursery.canFork && house.processes.count == 2)
        #expect(house.answers == [1] && house.processes[0].isHungUp)
        try house.fork()
        house.latest.says(.ready)
        house.latest.forks(try Child())
        #expect(house.answers == [1, 2])
    }

    @Test("one that cannot be started, or is behind with its requests, costs no lane anything")
    func programsAreTheRemedy() throws {
        let house = try House()
        house.latest.says(.ready)
        house.latest.isBehind = true
        try house.fork()
        #expect(house.answers.isEmpty, "answers come later")
        #expect(house.waits { house.answers == [nil] })
        house.shortage = .noSuchFileOrDirectory
        house.image = "/none"
        #expect(!house.nursery.canFork)
        #expect(house.failures == ["it cannot be started: No such file or directory"])
    }

    @Test(
        "what is no answer, or answers nothing, ends it",
        arguments: [nil, .ready, .started(1)] as [NurseryReply?])
    func killsOneThatTalksNonsense(_ reply: NurseryReply?) throws {
        let house = try House()
        house.latest.says(.ready)
        house.latest.says(reply)
        #expect(house.latest.isKilled && house.failures == ["its answer cannot be understood"])
    }

    @Test("the service waits for its end, but not for long")
    func closes() throws {
        let house = try House(.init(end: .milliseconds(1)))
        house.latest.says(.ready)
        var isClosed = false
        house.nursery.close { isClosed = true }
        #expect(house.latest.isHungUp && !isClosed)
        #expect(house.waits { isClosed } && house.latest.isKilled)
        #expect(house.processes.count == 1 && !house.nursery.canFork)
    }
}
