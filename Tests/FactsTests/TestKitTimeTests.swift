import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// What the tests rely on when the machine is busy, and when other programs start.
@Suite("The test kit: time and forks", .serialized)
struct TestKitTimeTests {
    private func isHungUp(_ readEnd: CInt) -> Bool {
        var entry = pollfd(fd: readEnd, events: 0, revents: 0)
        return poll(&entry, 1, 0) == 1 && CInt(entry.revents) & POLLHUP != 0
    }

    @Test(
        "inside withoutForks a closed pipe is at its end at once, even while other threads try to start programs"
    )
    func withoutForksPipesEndAtOnce() throws {
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

    @Test("a program of another thread starts only after withoutForks, a program of the same thread at once")
    func withoutForksDelaysOtherThreads() throws {
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

    @Test("withoutForks may be nested, also while another thread waits to start a program")
    func withoutForksMayBeNested() throws {
        let starting = try withoutForks {
            let thread = TestThread { _ = try? SpawnedProcess(path: "/bin/true", environment: []).wait() }
            letPass(.milliseconds(50))
            let took = try elapsed { withoutForks {} }
            #expect(took < .seconds(15), "it waited for the start that waits for it")
            return thread
        }
        starting.join()
    }

    @Test("the busyness of the machine is at least 1, and within its limit")
    func busynessIsBounded() {
        #expect((1...Busyness.limit).contains(Busyness.atStart))
        #expect((1...Busyness.limit).contains(Busyness.now()))
    }

    @Test("a deadline does not pass early, and an exact deadline is not extended")
    func deadlinesNeverPassEarly() throws {
        let (scaled, exact) = (Deadline(.milliseconds(50)), Deadline(exactly: .milliseconds(50)))
        #expect(!exact.hasPassed && !scaled.hasPassed)
        letPass(.milliseconds(50))
        #expect(exact.hasPassed)
        try eventually("the other one passes, too") { scaled.hasPassed }
        let calls = Deadline.ofCall(.seconds(1))
        #expect(calls >= 4000 && Double(calls) <= 4000 * Busyness.limit)
    }

    @Test("a measurement that is within its bound is not repeated")
    func measuresOnceWithinBound() throws {
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
