import EventLoop
import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing
import Unix

/// The daemon's one thread. Each test runs the loop on its own thread and stops it from a handler, so a test waits
/// only for the timers that it sets.
@Suite("The event loop", .withoutForks)
struct EventLoopTests {
    /// What the handlers did, in order. Only the loop's thread uses it, and the test after `run`.
    private final class Journal {
        var entries: [String] = []
        var watches: [String: Watch] = [:]
    }

    @Test("timers fire in the order of their deadlines, never early, and cancelled ones not at all")
    func firesTimersInDeadlineOrder() throws {
        let loop = try EventLoop()
        let journal = Journal()
        let start = ContinuousClock.now
        loop.after(.milliseconds(30)) {
            journal.entries.append("30")
            #expect(start.duration(to: .now) >= .milliseconds(30))
            loop.stop()
        }
        loop.after(.milliseconds(10)) { journal.entries.append("10") }
        loop.after(.milliseconds(20)) { journal.entries.append("20") }
        let cancelled = loop.after(.milliseconds(15)) { journal.entries.append("cancelled") }
        cancelled.cancel()
        cancelled.cancel()
        loop.run()
        #expect(journal.entries == ["10", "20", "30"])
    }

    @Test("a child is reaped once it has ended, and then nothing is left of it")
    func reapsChild() throws {
        let loop = try EventLoop()
        let child = try SpawnedProcess(path: "/bin/sh", arguments: ["-c", "exit 3"], environment: [])
        let processID = child.processID
        try loop.reapAtEnd(child) { loop.stop() }
        loop.run()
        #expect(kill(processID, 0) == -1 && errno == ESRCH)
    }

    @Test(
        "a timer may cancel another that is due at the same moment; a timer that a handler adds waits a turn")
    func handlersCancelAndAddTimers() throws {
        let loop = try EventLoop()
        let journal = Journal()
        let late = loop.after(.milliseconds(2)) { journal.entries.append("late") }
        loop.after(.milliseconds(1)) {
            // Sleeps so that the other timer is certainly due when it is cancelled.
            usleep(3000)
            journal.entries.append("first")
            late.cancel()
            loop.after(.zero) {
                journal.entries.append("added")
                loop.stop()
            }
            journal.entries.append("first ends")
        }
        loop.run()
        #expect(journal.entries == ["first", "first ends", "added"])
    }

    @Test("thousands of cancelled timers do not disturb the others")
    func cancelledTimersDisturbNoOthers() throws {
        let loop = try EventLoop()
        let journal = Journal()
        for index in 0..<5000 {
            let timer = loop.after(.milliseconds(1 + (index * 7919) % 20)) {
                journal.entries.append("\(index)")
            }
            if index % 100 != 0 { timer.cancel() }
        }
        loop.after(.milliseconds(40)) { loop.stop() }
        loop.run()
        #expect(journal.entries.count == 50)
        let order = journal.entries.compactMap { Int($0) }.map { ($0 * 7919) % 20 }
        #expect(order == order.sorted())
    }

    @Test("a watch reports repeatedly while there is something to read, and then that the writer has closed")
    func reportsUntilWriterCloses() throws {
        let loop = try EventLoop()
        let pipe = try Pipe()
        let writeEnd = try pipe.writeEnd.duplicate()
        _ = write(pipe.writeEnd.rawValue, "ab", 2)
        let journal = Journal()
        let raw = pipe.readEnd.rawValue
        journal.watches["read"] = try loop.watch(pipe.readEnd, for: .readable) { readiness in
            var byte: UInt8 = 0
            let count = read(raw, &byte, 1)
            journal.entries.append(count == 1 ? String(UnicodeScalar(byte)) : "end")
            if count == 0 {
                #expect(readiness.contains(.hungUp))
                journal.watches["read"]?.cancel()
                journal.watches["read"]?.cancel()
                loop.stop()
            }
        }
        let writing = writeEnd.release()
        let readEnd = keepReadEnd(of: pipe)
        loop.execute { close(writing) }
        loop.run()
        #expect(journal.entries == ["a", "b", "end"])
        _ = consume readEnd
    }

    private func keepReadEnd(of pipe: consuming Pipe) -> OwnedDescriptor {
        let readEnd = pipe.readEnd
        return readEnd
    }

    @Test(
        "an event that was fetched before its watch was cancelled is dropped, even if its descriptor is watched anew"
    )
    func dropsStaleEvents() throws {
        let loop = try EventLoop()
        let journal = Journal()
        let one = try Pipe()
        let two = try Pipe()
        _ = write(one.writeEnd.rawValue, "x", 1)
        _ = write(two.writeEnd.rawValue, "x", 1)
        // Both are ready in the same turn. The first handler cancels the other watch and watches its number anew, for
        // no event: the event that the kernel has already returned must not reach the new watch.
        func meet(_ other: String, _ descriptor: borrowing OwnedDescriptor) {
            journal.entries.append("handled")
            for watch in journal.watches.values { watch.cancel() }
            do {
                journal.watches[other] = try loop.watch(descriptor, for: []) { _ in
                    journal.entries.append("stale")
                }
            } catch {
                Issue.record(error)
            }
            loop.after(.milliseconds(5)) { loop.stop() }
        }
        journal.watches["one"] = try loop.watch(one.readEnd, for: .readable) { _ in meet("two", two.readEnd) }
        journal.watches["two"] = try loop.watch(two.readEnd, for: .readable) { _ in meet("one", one.readEnd) }
        loop.run()
        #expect(journal.entries == ["handled"])
    }

    @Test("a watch for no event still reports that the reader is gone")
    func emptyWatchReportsLostReader() throws {
        let loop = try EventLoop()
        let pipe = try Pipe()
        let writeEnd = try pipe.writeEnd.duplicate()
        let journal = Journal()
        journal.watches["write"] = try loop.watch(writeEnd, for: []) { readiness in
            if readiness.contains(.failed) { journal.entries.append("failed") }
            journal.watches["write"]?.cancel()
            loop.stop()
        }
        _ = consume pipe
        loop.run()
        #expect(journal.entries == ["failed"])
    }

    @Test("the events that a watch reports can be changed")
    func changesWatchedEvents() throws {
        let loop = try EventLoop()
        let pair = try UnixSocket.streamPair()
        let journal = Journal()
        let watch = try loop.watch(pair.first, for: .readable) { readiness in
            journal.entries.append(readiness.contains(.writable) ? "writable" : "other")
            journal.watches["socket"]?.readiness = .readable
        }
        journal.watches["socket"] = watch
        loop.after(.milliseconds(1)) { watch.readiness = .writable }
        loop.after(.milliseconds(20)) { loop.stop() }
        loop.run()
        watch.cancel()
        #expect(journal.entries == ["writable"])
    }

    @Test("a descriptor that cannot be polled or that is already watched is refused")
    func refusesUnpollableOrWatchedDescriptor() throws {
        let loop = try EventLoop()
        let directory = try TemporaryDirectory()
        try directory.write("x", to: "file")
        let file = OwnedDescriptor(adopting: try valueOrErrno(open(directory.file("file"), O_RDONLY)))
        #expect(throws: Errno.notPermitted) { _ = try loop.watch(file, for: .readable) { _ in } }
        let pipe = try Pipe()
        let watch = try loop.watch(pipe.readEnd, for: .readable) { _ in }
        #expect(throws: Errno.fileExists) { _ = try loop.watch(pipe.readEnd, for: .readable) { _ in } }
        watch.cancel()
        let again = try loop.watch(pipe.readEnd, for: .readable) { _ in }
        again.cancel()
    }
}
