import EventLoop
import Glibc
import Synchronization
import TestKit
import Testing
import Unix

/// The loop and other threads.
@Suite("The event loop and other threads")
struct EventLoopThreadTests {
    /// Runs a loop on a thread of its own for the length of a test.
    private final class Running: Sendable {
        let loop: EventLoop
        private let thread: TestThread

        init() throws {
            let loop = try EventLoop()
            self.loop = loop
            thread = TestThread { loop.run() }
        }

        func stop() {
            loop.stop()
            loop.stop()
            thread.join()
        }

        deinit { stop() }
    }

    @Test("work from other threads runs on the loop's thread, in each thread's own order")
    func runsForeignWorkInOrder() throws {
        let running = try Running()
        let loop = running.loop
        #expect(!loop.isCurrent)
        let seen = Monitor<[[Int]]>([[], [], [], []])
        let elsewhere = Monitor(0)
        let threads = (0..<4).map { index in
            TestThread {
                for number in 0..<1000 {
                    loop.execute {
                        if !loop.isCurrent { elsewhere.update { $0 += 1 } }
                        seen.update { $0[index].append(number) }
                    }
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(seen.wait(until: Deadline()) { $0.allSatisfy { $0.count == 1000 } })
        #expect(seen.read { $0.allSatisfy { $0 == Array(0..<1000) } })
        #expect(elsewhere.read { $0 } == 0)
    }

    /// An actor that runs on a loop's thread.
    private actor Resident {
        private let loop: EventLoop
        private var count = 0
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

        init(_ loop: EventLoop) { self.loop = loop }

        func increment() -> Bool {
            count += 1
            return loop.isCurrent
        }

        /// A handler made inside the actor accesses the actor's state without a hop.
        func incrementLater() async {
            await withCheckedContinuation { continuation in
                loop.after(.milliseconds(1)) {
                    self.assumeIsolated { $0.count += 1 }
                    continuation.resume()
                }
            }
        }

        var total: Int { count }
    }

    @Test("an actor whose executor is the loop runs on the loop's thread, and handlers may access its state")
    func runsActorOnItsThread() async throws {
        let running = try Running()
        let resident = Resident(running.loop)
        let onLoop = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<100 { group.addTask { await resident.increment() } }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(onLoop)
        await resident.incrementLater()
        #expect(await resident.total == 101)
        running.stop()
    }

    @Test("stop makes run return: from a handler, from another thread, and before run has begun")
    func stopMakesRunReturn() throws {
        let early = try EventLoop()
        early.stop()
        early.run()
        let running = try Running()
        running.stop()
        let inside = try EventLoop()
        inside.execute { inside.stop() }
        inside.run()
        #expect(!inside.isCurrent)
    }

    @Test("an idle loop sleeps: it uses no processor time")
    func idleLoopUsesNoProcessorTime() throws {
        let running = try Running()
        let clock = Monitor<clockid_t?>(nil)
        running.loop.execute {
            var identifier = clockid_t()
            pthread_getcpuclockid(pthread_self(), &identifier)
            clock.update { $0 = identifier }
        }
        #expect(clock.wait(until: Deadline()) { $0 != nil })
        let identifier = try #require(clock.read { $0 })
        func used() -> Duration {
            var time = timespec()
            clock_gettime(identifier, &time)
            return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
        }
        let before = used()
        // The statement is about a period, so time must pass.
        letPass(.milliseconds(200))
        #expect(used() - before < .milliseconds(5))
        running.stop()
    }
}
