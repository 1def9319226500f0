import TestKit
import Testing
import Unix

/// Facts about what delays a transfer, what ends it, and which functions must not be called.
@Suite("Facts: the gate", .serialized)
struct GateFacts {
    static let pattern = Pattern(seed: 1)
    static let mebibyte = 1 << 20

    @Test(
        "F1: suspend and resume in mid-body repeat the GET from byte 0, and the body is reported as a success"
    )
    func resumeRepeatsGetFromStart() throws {
        let count = 8 * Self.mebibyte
        let origin = try BadOrigin { connection in
            if connection.number > 0 { return try connection.respond(pattern: Self.pattern, count: count) }
            try connection.sendHead(headers: ["Content-Length: \(count)"])
            try connection.send(Self.pattern, 0..<Self.mebibyte)
            connection.waitForClose()
        }
        let probe = try Probe()
        try probe.fetch(origin.url())
        _ = try probe.next("data")
        try probe.send("suspend")
        _ = try probe.next("done") { $0["command"] == "suspend" }
        // The session drops the first connection at once: that is one half of the fact.
        try origin.waitUntilIdle()
        try probe.send("resume")
        let outcome = try probe.next("complete")
        #expect(outcome.number("code") == 0)
        #expect(
            outcome.number("received") > count,
            "\(revisit("F1", "suspend/resume may be safe now: \(outcome)"))")
        #expect(origin.requests.count == 2)
    }

    @Test("F2: with an ordinary delegate queue and a slow delegate the whole body accumulates in memory")
    func ordinaryQueueBuffersWholeBody() throws {
        let count = 64 * Self.mebibyte
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: count) }
        let probe = try Probe("ordinary", "gate=1")
        let before = try probe.writtenBytes()
        try probe.fetch(origin.url())
        try origin.waitForBytes(count)
        try eventually(revisit("F2", "the body no longer piles up")) {
            try probe.writtenBytes() - before > count * 8 / 10
        }
    }

    @Test(
        "F2, F3: with an inline queue a blocked delegate stops the origin, memory stays flat, the body is right"
    )
    func blockedInlineQueueStopsOrigin() throws {
        let count = 64 * Self.mebibyte
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: count) }
        // A request timeout of 1 s shows that its time does not run while the gate is closed.
        let probe = try Probe("gate=1000000", "timeout=1")
        try probe.fetch(origin.url())
        let gate = try probe.next("gate")
        let before = try probe.writtenBytes()
        let sent = try origin.waitUntilBlocked(calm: .milliseconds(2500))
        #expect(sent < count / 2, "\(revisit("F3", "the origin sent \(sent) bytes to a closed gate"))")
        #expect(try probe.writtenBytes() - before < Self.mebibyte)
        #expect(gate.number("received") < 1_000_000 + 16384)
        try probe.send("open")
        let outcome = try probe.next("complete")
        #expect(outcome.number("code") == 0)
        #expect(outcome.number("received") == count)
        #expect(outcome["mismatch"] == "-1")
    }

    @Test("F4: a blocked delegate stops the other sessions of the process, even the creation of a task")
    func sessionsShareAQueue() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 1000) }
        let probe = try Probe("gate=1")
        try probe.fetch(origin.url("/first"))
        _ = try probe.next("gate")
        try probe.send("fetch-elsewhere", origin.url("/second"))
        let created =
            probe.sees("done", within: .milliseconds(500)) { $0["command"] == "fetch-elsewhere" }
        #expect(
            !created,
            "\(revisit("F4", "sessions no longer share a queue: one process may run several transfers"))")
        #expect(!origin.requests.contains { $0.target == "/second" })
        try probe.send("open")
        _ = try probe.next("done") { $0["command"] == "fetch-elsewhere" }
        try origin.waitForRequests(2)
    }

    @Test("F5: cancel from outside waits until the gate opens")
    func cancelWaits() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: Self.mebibyte) }
        let probe = try Probe("gate=1")
        try probe.fetch(origin.url())
        _ = try probe.next("gate")
        try probe.send("cancel")
        let returned =
            probe.sees("done", within: .milliseconds(500)) { $0["command"] == "cancel" }
        #expect(!returned, "\(revisit("F5", "cancel returns behind a closed gate"))")
        try probe.send("open")
        _ = try probe.next("done") { $0["command"] == "cancel" }
    }

    @Test(
        "F5: while the origin outruns the consumer, cancel takes effect only after the whole body has passed")
    func cancelIsStarved() throws {
        let count = 16 * Self.mebibyte
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: count) }
        let probe = try Probe("slow=1000")
        try probe.fetch(origin.url())
        _ = try probe.next("data")
        try probe.send("cancel")
        let outcome = try probe.next("complete")
        #expect(
            outcome.number("received") > count / 2,
            "\(revisit("F5", "cancel stops a running transfer: \(outcome)"))")
    }

    @Test("F5: cancel in a delegate callback of an inline queue never returns")
    func cancelDeadlocks() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: Self.mebibyte) }
        let probe = try Probe("cancel-in-callback")
        try probe.fetch(origin.url())
        do {
            _ = try probe.next("cancelling")
            let returned = probe.sees("cancelled", within: .milliseconds(500))
            #expect(!returned, "\(revisit("F5", "cancel may be called in a callback"))")
        } catch {
            // libdispatch may notice the deadlock, and end the process instead.
            #expect(try probe.exit().exit != .exited(0))
        }
    }

    @Test("F16: Foundation hands over at most 16 KiB at a time")
    func deliversAtMost16KiB() throws {
        let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 8 * Self.mebibyte) }
        let outcome = try Probe("slow=100").outcome(origin.url())
        #expect(outcome.number("largest") == 16384, "\(revisit("F16", "the receive buffer's size changed"))")
    }

    @Test("getAllTasks' block runs on an inline queue only when the session's queue is idle")
    func getAllTasksRunsWhenIdle() throws {
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Content-Length: 2000"])
            try connection.send(Self.pattern, 0..<1000)
            connection.waitForClose()
        }
        let probe = try Probe("gate=1")
        try probe.fetch(origin.url())
        _ = try probe.next("gate")
        try probe.send("idle")
        #expect(!probe.sees("idle", within: .milliseconds(300)))
        try probe.send("open")
        // The transfer is not over, but there is nothing to read now: gathered bytes are flushed at this moment.
        _ = try probe.next("idle")
    }
}
