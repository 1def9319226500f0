import CUnix
import FoundationEssentials
import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import TestKit
import Testing
import Unix

/// The duties of a lane towards its daemon: locks, accounts, digests, conditions.
@Suite("A lane process")
struct LaneProcessTests {
    static let pattern = Pattern(seed: 92)
    static let length = 300_007

    private func origin(_ headers: [String]) throws -> BadOrigin {
        try BadOrigin { connection in
            try connection.respond(headers: headers, pattern: Self.pattern, count: Self.length)
        }
    }

    @Test("a lane's threads run as batch work, so that a consumer that wakes them keeps its processor")
    func threadsRunAsBatchWork() throws {
        let origin = try origin([])
        let lane = try LaneBench()
        let facts = try lane.run(.test(origin.url()), of: LaneTestJob(Self.pattern))
        #expect(facts.outcome.code == .complete)
        let tasks = try Program.run("/bin/ls", ["/proc/\(lane.program.processID)/task"]).successful().output
        // SCHED_BATCH of sched.h; Glibc does not show the constant.
        for task in tasks.split(separator: "\n") {
            let policy = sched_getscheduler(try #require(Int32(task)))
            // A thread of libdispatch may have ended meanwhile.
            #expect(policy == 3 || policy < 0)
        }
        #expect(sched_getscheduler(lane.program.processID) == 3)
    }

    // MARK: One writer at a time

    @Test("a lane does not write for a job that another process writes for, and names that process")
    func refusesLockedLedger() throws {
        let origin = try origin([])
        let job = try LaneTestJob(Self.pattern)
        #expect(cunix_lock_write(job.ledgerFile.rawValue) == 0)
        let lane = try LaneBench()
        var facts = try lane.run(.test(origin.url()), of: job)
        #expect(facts.outcome.code == .laneUnavailable)
        #expect(facts.outcome.message.contains("\(getpid())"), "\(facts.outcome.message)")
        #expect(origin.requests.isEmpty)
        // The kernel releases the lock when this process closes any descriptor of the file.
        _ = try job.ledgerFile.duplicate()
        facts = try lane.run(.test(origin.url()), of: job)
        #expect(facts.outcome.code == .complete)
    }

    @Test("a lane locks its job's ledger for as long as it may write, also if it had the job before")
    func locksLedgerWhileWriting() throws {
        let gate = try Gate()
        let origin = try BadOrigin { connection in
            if connection.request.rangeStart == nil {
                try connection.sendHead(headers: ["ETag: \"v1\"", "Content-Length: \(Self.length)"])
                try connection.send(Self.pattern, 0..<1000)
                connection.close()
            } else {
                let start = connection.request.rangeStart ?? 0
                try connection.sendHead(
                    "206 Partial Content",
                    headers: [
                        "ETag: \"v1\"", "Content-Range: bytes \(start)-\(Self.length - 1)/\(Self.length)",
                        "Content-Length: \(Self.length - start)",
                    ])
                try connection.send(Self.pattern, start..<start + 1)
                try connection.wait(for: gate)
                try connection.send(Self.pattern, (start + 1)..<Self.length)
            }
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern)
        #expect(cunix_lock_holder(job.ledgerFile.rawValue) == 0)
        let first = try lane.run(.test(origin.url()), of: job)
        #expect(first.outcome.code == .truncated || first.outcome.code == .connectionLost)
        #expect(cunix_lock_holder(job.ledgerFile.rawValue) == 0)
        let position = try job.check()
        job.restart(at: position)
        try lane.begin(.test(origin.url(), position: position, known: lane.response?.representation), of: job)
        try eventually("the lane writes") { try job.delivered() > position }
        #expect(cunix_lock_holder(job.ledgerFile.rawValue) == lane.program.processID)
        gate.open()
        try lane.waitFor("the end") { if case .ended = $0 { true } else { false } }
        #expect(cunix_lock_holder(job.ledgerFile.rawValue) == 0)
        #expect(try lane.end().outcome.code == .complete)
        #expect(try job.check() == Self.length)
    }

    @Test("the lock is released when the lane dies")
    func deathReleasesLock() throws {
        let origin = try BadOrigin { $0.waitForClose() }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern)
        try lane.begin(.test(origin.url()), of: job)
        try origin.waitForRequests(1)
        #expect(cunix_lock_holder(job.ledgerFile.rawValue) == lane.program.processID)
        lane.program.kill()
        try eventually("nobody holds it") { cunix_lock_holder(job.ledgerFile.rawValue) == 0 }
    }

    @Test("an order for another byte than the ledger's, or with staged bytes, is refused")
    func refusesOrderForOtherByte() throws {
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: 5)
        let known = Representation.test("http://127.0.0.1:9/", length: 10)
        for position in [0, 4, 6] {
            let facts = try lane.run(
                .test("http://127.0.0.1:9/", position: position, known: known), of: job)
            #expect(facts.outcome.code == .laneUnavailable)
        }
        #expect(write(job.staging.rawValue, "x", 1) == 1)
        let facts = try lane.run(.test("http://127.0.0.1:9/", position: 5, known: known), of: job)
        #expect(facts.outcome.code == .laneUnavailable)
    }

    // MARK: One account after the other

    @Test(
        "a lane keeps the account of a body delivered whole, unlocked, for an order that brings none"
    )
    func keepsAccountForNextOrder() throws {
        let origin = try origin([])
        let lane = try LaneBench()
        let first = try LaneTestJob(Self.pattern)
        #expect(try lane.run(.test(origin.url()), of: first).outcome.code == .complete)
        #expect(try first.check() == Self.length)
        #expect(lane.keepsAccount)
        #expect(cunix_lock_holder(first.ledgerFile.rawValue) == 0)
        for _ in 0..<3 {
            let next = try LaneTestJob(Self.pattern, with: first)
            try lane.begin(.test(origin.url()), of: next, bringsAccount: false)
            #expect(try lane.end().outcome.code == .complete)
            #expect(try next.check() == Self.length)
            #expect(cunix_lock_holder(first.ledgerFile.rawValue) == 0)
        }
    }

    @Test(
        "an account that comes with an order replaces the kept one, even if it is the same"
    )
    func newAccountReplacesKeptOne() throws {
        let gate = try Gate()
        let origin = try origin([])
        origin.on("/slow") { connection in
            try connection.sendHead(headers: ["Content-Length: \(Self.length)"])
            try connection.send(Self.pattern, 0..<1)
            try connection.wait(for: gate)
            try connection.send(Self.pattern, 1..<Self.length)
        }
        let lane = try LaneBench()
        let first = try LaneTestJob(Self.pattern)
        #expect(try lane.run(.test(origin.url()), of: first).outcome.code == .complete)
        let same = try LaneTestJob(Self.pattern, with: first)
        try lane.begin(.test(origin.url("/slow")), of: same)
        try eventually("the lane writes") { try same.delivered() > 0 }
        // If the lane had closed the copy that it kept, the lock would be gone.
        #expect(cunix_lock_holder(same.ledgerFile.rawValue) == lane.program.processID)
        gate.open()
        #expect(try lane.end().outcome.code == .complete)
        let other = try LaneTestJob(Self.pattern)
        #expect(try lane.run(.test(origin.url()), of: other).outcome.code == .complete)
        #expect(try other.check() == Self.length)
        // The account of the first job is gone: the lane ignores it.
        first.restart(at: 5)
        let next = try LaneTestJob(Self.pattern, with: other)
        try lane.begin(.test(origin.url()), of: next, bringsAccount: false)
        #expect(try lane.end().outcome.code == .complete)
    }

    @Test(
        "a lane keeps no account of a body not delivered whole, and then refuses an order without an account"
    )
    func keepsNoAccountOfIncompleteBody() throws {
        let origin = try origin([])
        origin.on("/404") { try $0.respond("404 No") }
        origin.on("/cut") { connection in
            try connection.sendHead(headers: ["Content-Length: 1000"])
            try connection.send(Self.pattern, 0..<10)
            connection.close()
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern)
        try lane.begin(.test(origin.url()), of: job, bringsAccount: false)
        #expect(try lane.end().outcome.code == .laneUnavailable)
        for path in ["/404", "/cut"] {
            // The lane gives up the account that it kept of the job before, too.
            #expect(
                try lane.run(.test(origin.url()), of: LaneTestJob(Self.pattern)).outcome.code == .complete)
            #expect(lane.keepsAccount)
            let ended = try LaneTestJob(Self.pattern)
            #expect(try lane.run(.test(origin.url(path)), of: ended).outcome.code != .complete)
            #expect(!lane.keepsAccount)
            let next = try LaneTestJob(Self.pattern, with: ended)
            try lane.begin(.test(origin.url()), of: next, bringsAccount: false)
            #expect(try lane.end().outcome.code == .laneUnavailable)
        }
    }

    @Test("a lane refuses a kept account that the daemon has not reset")
    func refusesStaleAccount() throws {
        let origin = try origin([])
        let lane = try LaneBench()
        let first = try LaneTestJob(Self.pattern)
        #expect(try lane.run(.test(origin.url()), of: first).outcome.code == .complete)
        try lane.begin(.test(origin.url()), of: first, bringsAccount: false)
        #expect(try lane.end().outcome.code == .laneUnavailable)
        #expect(try first.check() == Self.length)
    }

    // MARK: Kills

    @Test("lanes that are killed again and again deliver a body exactly, and the ledger records how much")
    func deliversExactlyDespiteKills() throws {
        let size = 24 << 20
        let nginx = try Nginx()
        let path = try nginx.serve("file", Self.pattern, count: size)
        var random: UInt64 = 20_241
        var killed = 0
        // On a busy machine a lane gets far before it is killed, and a body can take only a few kills.
        repeat {
            let job = try LaneTestJob(Self.pattern, pace: .pieces(7777))
            var known: Representation?
            var position = 0
            while position < size {
                let lane = try LaneBench()
                try lane.begin(.test(nginx.httpURL(path), position: position, known: known), of: job)
                try lane.waitFor("what comes") { if case .responded = $0 { true } else { false } }
                known = lane.response?.representation
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let mark = position + Int(random >> 33) % 1_500_000
                try eventually("a mark is passed, or the end", every: .microseconds(50)) {
                    job.ledger.read().received >= UInt64(min(mark, size))
                }
                lane.program.kill()
                killed += 1
                position = try job.check()
                job.restart(at: position)
            }
            #expect(job.reader.report.firstMismatch == nil)
            #expect(job.reader.count == size)
        } while killed <= 10
    }

    // MARK: Digests

    private static let wrongField = "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"

    private static func field(_ hexadecimal: String) -> String {
        let digits = Array(hexadecimal)
        let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(digits[$0...($0 + 1)]), radix: 16)
        }
        return "Repr-Digest: sha-256=:\(Data(bytes).base64EncodedString()):"
    }

    @Test("the origin's digest is checked, and both values are named where they differ")
    func checksDigestOfOrigin() throws {
        let digest = try Self.pattern.sha256(count: Self.length)
        let lane = try LaneBench()
        let right = try origin([Self.field(digest), "ETag: \"v1\""])
        var facts = try lane.run(.test(right.url()), of: try LaneTestJob(Self.pattern))
        #expect(facts.outcome.code == .complete)
        #expect(facts.digest?.hexadecimal == digest)
        #expect(lane.response?.representation.digests.count == 1)
        let wrong = try origin([Self.wrongField])
        facts = try lane.run(.test(wrong.url()), of: try LaneTestJob(Self.pattern))
        #expect(facts.outcome.code == .digestMismatch)
        #expect(facts.outcome.message.contains(digest))
        #expect(facts.outcome.message.contains(String(repeating: "0", count: 64)))
    }

    @Test(
        "the digest of a continued body covers every byte, and no byte is delivered twice",
        arguments: [true, false])
    func digestCoversContinuedBody(_ isRight: Bool) throws {
        let digest = try Self.pattern.sha256(count: Self.length)
        let origin = try BadOrigin { connection in
            // Chunked, with chunks whose boundaries match no other boundary.
            try connection.sendHead(headers: ["ETag: \"v1\"", "Transfer-Encoding: chunked"])
            for start in stride(from: 0, to: Self.length, by: 7919) {
                try connection.sendChunk(
                    Self.pattern.bytes(start..<min(start + 7919, Self.length)))
            }
            try connection.sendChunk([])
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, from: 100_003)
        let known = Representation.test(origin.url(), length: Self.length)
        let order = try LaneOrder.test(origin.url(), position: 100_003, known: known) {
            $0.digest = "sha256:" + (isRight ? digest : String(repeating: "0", count: 64))
        }
        let facts = try lane.run(order, of: job)
        #expect(origin.requests.first?["Range"] == nil)
        #expect(facts.outcome.code == (isRight ? .complete : .digestMismatch))
        #expect(facts.digest?.hexadecimal == digest)
        #expect(try job.check() == Self.length)
        // The origin was not asked for a range, so it has not refused one.
        #expect(lane.response?.representation.refusesRanges == false)
    }

    @Test("a body whose end only the end of the connection marks is proven by its digest")
    func digestProvesUnannouncedEnd() throws {
        let digest = try Self.pattern.sha256(count: Self.length)
        let origin = try BadOrigin { connection in
            try connection.sendHead(headers: ["Connection: close"])
            try connection.send(Self.pattern, 0..<Self.length)
            connection.close()
        }
        let lane = try LaneBench()
        for (request, code) in [
            ("sha256:\(digest)", OutcomeCode.complete), ("sha256", .completeUnverified),
            ("sha256:" + String(repeating: "1", count: 64), .digestMismatch),
        ] {
            let order = try LaneOrder.test(origin.url()) { $0.digest = request }
            let facts = try lane.run(order, of: try LaneTestJob(Self.pattern))
            #expect(facts.outcome.code == code)
            #expect(facts.digest?.hexadecimal == digest)
        }
    }

    // MARK: Conditions

    @Test("304 means unchanged if a condition was set, in whichever way, and is an error without one")
    func notModifiedNeedsCondition() throws {
        let origin = try BadOrigin { connection in
            try connection.sendHead("304 Not Modified", headers: ["ETag: W/\"v1\""])
        }
        let redirecting = try BadOrigin(host: "127.0.0.2") { connection in
            try connection.respond("302 Found", headers: ["Location: \(origin.url("/file"))"])
        }
        let lane = try LaneBench()
        func run(_ url: String, _ change: (inout Ingest.FetchParameters) -> Void) throws -> EndFacts {
            let job = try LaneTestJob(Self.pattern)
            let facts = try lane.run(.test(url, change), of: job)
            #expect(try job.check() == 0)
            return facts
        }
        for url in [origin.url("/file"), redirecting.url()] {
            let facts = try run(url) { $0.ifNoneMatch = "\"v0\", W/\"v1\"" }
            #expect(facts.outcome.code == .unchanged)
            #expect(facts.status == 304)
            #expect(facts.etag == "W/\"v1\"")
            #expect(origin.requests.last?["If-None-Match"] == "\"v0\", W/\"v1\"")
        }
        let date = HeaderField(name: "If-Modified-Since", value: "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(try run(origin.url()) { $0.headers = [date] }.outcome.code == .unchanged)
        #expect(try run(redirecting.url()) { $0.headers = [date] }.outcome.code == .unchanged)
        #expect(try run(origin.url()) { _ in }.outcome.code == .httpStatus)
    }

    // MARK: Consumers that make origins wait

    @Test("a hold is reported once, and so is its end")
    func reportsHoldOnce() throws {
        let origin = try BadOrigin { connection in
            try connection.respond(pattern: Self.pattern, count: 8 << 20)
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, pace: .stopAt(1000))
        // With a low mark near the high mark the gate opens soon, however slowly a busy machine reads.
        let order = try LaneOrder.test(origin.url(), parkAfter: 1.5) {
            $0.highWatermark = 65_536
            $0.lowWatermark = 16_384
        }
        try lane.begin(order, of: job)
        try lane.waitFor("that it is held") { if case .held = $0 { true } else { false } }
        job.reader.release()
        try lane.waitFor("that it is released") { if case .released = $0 { true } else { false } }
        #expect(try lane.end().outcome.code == .complete)
        #expect(try job.check() == 8 << 20)
        let told = lane.all.compactMap { report in
            switch report {
            case .stalled: "stalled"
            case .held: "held"
            case .released: "released"
            default: nil
            }
        }
        #expect(told == ["stalled", "held", "released"])
    }

    @Test("an origin that gives up after a long wait is distinguished from one that breaks off")
    func distinguishesOriginThatGaveUp() throws {
        let gate = try Gate()
        let origin = try BadOrigin { connection in
            connection.limitSendBuffer(64 << 10)
            try connection.sendHead(headers: ["Content-Length: \(64 << 20)"])
            try connection.send(Self.pattern, 0..<(2 << 20))
            try connection.wait(for: gate)
            connection.close()
        }
        let lane = try LaneBench()
        let job = try LaneTestJob(Self.pattern, pace: .stopAt(1000))
        try lane.begin(.test(origin.url()), of: job)
        try eventually("the gate has closed") { job.ledger.read().closedSinceNanoseconds > 0 }
        // The wait itself is what this test is about.
        try eventually("the gate has been closed for 5 s", every: .milliseconds(50)) {
            let since = job.ledger.read().closedSinceNanoseconds
            return since > 0 && Monotonic.nanoseconds() - since > 5_100_000_000
        }
        gate.open()
        job.reader.release()
        let facts = try lane.end()
        #expect(facts.outcome.code == .originGaveUp, "\(facts.outcome)")
        #expect(facts.outcome.message.contains("had made it wait for"))
    }
}
