import Glibc
import SystemPackage
import TestKit
import Testing
import UnixSockets

/// What the tests rely on when the machine is busy, and when other programs start.
@Suite("The test kit: time and forks", .serialized)
struct TestKitTimeTests {
    private func isHungUp(_ readEnd: CInt) -> Bool {
        var entry = pollfd(fd: readEnd, events: 0, revents: 0)
        return poll(&entry, 1, 0) == 1 && CInt(entry.revents) & POLLHUP != 0
    }

    @Test("a closed descriptor is at its end at once while no program starts, however many want to")
    func holds() throws {
        let starter = Starter()
        defer { starter.stop() }
        try starter.waitForStart()
        for _ in 0..<200 {
            let isAtEnd = try withoutForks {
                let pipe = try Pipe()
                let reading = try pipe.readEnd.duplicate()
                _ = consume pipe
                return isHungUp(reading.rawValue)
            }
            try #require(isAtEnd)
        }
    }

    /// Starts one program after the other.
    private final class Starter: Sendable {
        private let starts = Monitor(0)
        private let isOver = Monitor(false)
        private let ended = try? Gate()

        init() {
            TestThread.detached { [starts, isOver, ended] in
                while !isOver.read({ $0 }) {
                    _ = try? SpawnedProcess(path: "/bin/true", environment: []).wait()
                    starts.update { $0 += 1 }
                }
                ended?.open()
            }
        }

        func waitForStart() throws {
            guard starts.wait(until: Deadline(), { $0 > 0 }) else { throw TestFailure("no start") }
        }

        func stop() {
            isOver.update { $0 = true }
            _ = ended?.wait()
        }
    }

    @Test("a program of another thread starts after a hold, one of the same thread at once")
    func waits() throws {
        let started = try Gate()
        let starting = withoutForks {
            let thread = TestThread {
                _ = try? SpawnedProcess(path: "/bin/true", environment: []).wait()
                started.open()
            }
            letPass(.milliseconds(100))
            #expect(!started.isOpen)
            #expect((try? Program.run("/bin/echo", ["own"]).output) == "own\n")
            #expect(!started.isOpen)
            return thread
        }
        #expect(started.wait())
        starting.join()
    }

    @Test("the forks may be held twice, also while a start waits for them")
    func nested() throws {
        let starting = try withoutForks {
            let thread = TestThread { _ = try? SpawnedProcess(path: "/bin/true", environment: []).wait() }
            letPass(.milliseconds(50))
            let took = try elapsed { withoutForks {} }
            #expect(took < .seconds(15), "it waited for the start that waits for it")
            return thread
        }
        starting.join()
    }

    @Test("how busy the machine is: at least as a calm one, and within a bound")
    func busyness() {
        #expect((1...Busyness.limit).contains(Busyness.atStart))
        #expect((1...Busyness.limit).contains(Busyness.now()))
    }

    @Test("a deadline comes no sooner than it says; an exact one is not moved")
    func deadlines() throws {
        let (scaled, exact) = (Deadline(.milliseconds(50)), Deadline(exactly: .milliseconds(50)))
        #expect(!exact.hasPassed && !scaled.hasPassed)
        letPass(.milliseconds(50))
        #expect(exact.hasPassed)
        try eventually("the other one passes, too") { scaled.hasPassed }
        let calls = Deadline.ofCall(.seconds(1))
        #expect(calls >= 4000 && Double(calls) <= 4000 * Busyness.limit)
    }

    @Test("what keeps its bound is measured once")
    func kept() throws {
        var times = 0
        let result = try judge("nothing") {
            times += 1
            return times
        } by: {
            $0 == 1
        }
        #expect(result == 1 && times == 1)
    }
}
