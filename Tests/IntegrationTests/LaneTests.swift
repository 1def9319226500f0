import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// The pool as seen from outside.
    @Suite("Lanes")
    struct Lanes {
        static let pattern = Pattern(seed: 21)

        private func idle(_ service: TestService, _ count: Int, within duration: Duration = Deadline.usual)
            throws
        {
            try eventually("\(count) lanes are idle", within: duration) {
                let lanes = try service.status().lanes
                return lanes.idle == count && lanes.busy + lanes.starting == 0
            }
        }

        @Test("jobs wait their turn, first in, first out")
        func queueIsFirstInFirstOut() throws {
            let gates = try (0..<8).map { _ in try Gate() }
            let origin = try BadOrigin { connection in
                let number = Int(connection.request.path.dropFirst()) ?? 0
                try connection.wait(for: gates[number])
                try connection.respond(pattern: Self.pattern, count: 100)
            }
            let service = try TestService("lanes.maximum = 2")
            let jobs = try (0..<8).map { try service.fetch(origin.url("/\($0)"), expecting: Self.pattern) }
            try origin.waitForRequests(2)
            var status = try service.status()
            #expect(status.jobs.queued == 6 && status.lanes.busy == 2, "\(status)")
            #expect(status.status.contains("6 queued"))
            for number in 0..<8 {
                gates[number].open()
                try jobs[number].finishComplete(100)
                if number < 6 { try origin.waitForRequests(number + 3) }
            }
            // The first two run side by side.
            #expect(Set(origin.requests.prefix(2).map(\.target)) == ["/0", "/1"])
            #expect(origin.requests.dropFirst(2).map(\.target) == (2..<8).map { "/\($0)" })
            status = try service.status()
            #expect(status.jobs.complete == 8)
            #expect(try service.call("List", as: Ingest.ListReply.self).jobs.map(\.id) == jobs.map(\.id))
        }

        @Test("a job that is cancelled in the queue never starts, and the next one takes its place")
        func jobCancelledInQueueNeverStarts() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService("lanes.maximum = 1\nlanes.minimum = 1")
            let first = try service.fetch(origin.url("/1"), expecting: Self.pattern)
            let second = try service.fetch(origin.url("/2"), expecting: Self.pattern)
            let third = try service.fetch(origin.url("/3"), expecting: Self.pattern)
            try origin.waitForRequests(1)
            #expect(try service.cancel(second.id).startedUsec == nil)
            _ = try service.cancel(first.id)
            try origin.waitForRequests(2)
            #expect(origin.requests.map(\.target) == ["/1", "/3"])
            third.reader.cancel()
            _ = try service.wait(third.id)
        }

        @Test("idle lanes end after a while, and the minimum number remains")
        func retiresIdleLanesAboveMinimum() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.wait(for: gate)
                try connection.respond(pattern: Self.pattern, count: 100)
            }
            let service = try TestService("lanes.minimum = 1\nlanes.idle_seconds = 0.2")
            try idle(service, 1)
            let jobs = try (0..<5).map { _ in try service.fetch(origin.url(), expecting: Self.pattern) }
            try origin.waitForRequests(5)
            #expect(try service.status().lanes.busy == 5)
            #expect(try Processes.lanes(of: service.processID).count >= 5)
            gate.open()
            for job in jobs { try job.finishComplete(100) }
            try idle(service, 1)
            try eventually("retired lanes are reaped") {
                try Processes.lanes(of: service.processID).count == 1
            }
            #expect(try service.status().lanes.died == 0)
        }

        @Test(
            "further jobs of a user for the same origin use the same lane and its connection",
            arguments: Wire.available)
        func reusesLaneAndConnection(_ wire: Wire) throws {
            let wires = try Wires()
            let path = try wires.nginx.serve("file", Self.pattern, count: 100_000)
            for _ in 0..<5 {
                try wires.service.fetch(wires.url(path, over: wire), expecting: Self.pattern).finishComplete(
                    100_000)
                try idle(wires.service, 2)
            }
            let log = try wires.nginx.accessLog()
            let connections = Set(log.compactMap { $0.split(separator: " ").last })
            #expect(connections.count == 1, "\(log)")
        }

        @Test("a lane is used again after an error status and after a cancel")
        func reusesLaneAfterFailureAndCancel() throws {
            let wires = try Wires("lanes.minimum = 1\nlanes.maximum = 1")
            try wires.nginx.serve("file", Self.pattern, count: 64 << 20)
            let before = try Processes.lanes(of: wires.service.processID)
            try wires.service.fetch(wires.nginx.httpURL("/nothing"), expecting: Self.pattern)
                .finish(failing: .httpStatus)
            let job = try wires.service.fetch(
                wires.nginx.httpURL("/file"), expecting: Self.pattern, pace: .stopAt(1000))
            try job.reader.waitForCount(1000)
            _ = try wires.service.cancel(job.id)
            job.reader.cancel()
            try wires.service.fetch(wires.nginx.httpURL("/file"), expecting: Self.pattern)
                .finishComplete(64 << 20)
            #expect(try Processes.lanes(of: wires.service.processID) == before)
        }

        @Test(
            "a lane has only its own descriptors, and keeps at most a ledger and a staging pipe after a job")
        func laneHasOnlyItsOwnDescriptors() throws {
            let wires = try Wires("lanes.minimum = 1\nlanes.maximum = 1")
            let path = try wires.nginx.serve("file", Self.pattern, count: 10 << 20)
            let held = try wires.service.open(wires.nginx.httpURL(path))
            let lane = try #require(try Processes.lanes(of: wires.service.processID).first)
            let during = try Processes.descriptors(of: lane)
            #expect(during.count { $0.contains("memfd:sluice") } <= 1, "\(during)")
            close(held.body)
            _ = try wires.service.wait(held.id)
            var first: [String] = []
            var after: [String] = []
            for _ in 0..<20 {
                try wires.service.fetch(wires.nginx.httpURL(path), expecting: Self.pattern)
                    .finishComplete(10 << 20)
                try idle(wires.service, 1)
                after = try Processes.descriptors(of: lane)
                if first.isEmpty { first = after }
            }
            // libdispatch and libcurl make some descriptors only when they first need them. One kept for each job
            // would be 20.
            #expect(after.count <= first.count + 5, "\(after) after \(first)")
            print("figure: an idle lane's descriptors: \(after)")
            #expect(!after.contains { $0.contains("/run/socket") }, "\(after)")
            // Standard error is that of the daemon, which is this test's memory file. The others are the control
            // socket, at most one pair of pipes of libcurl, and a staging pipe.
            let ledgers = after.count { $0.contains("memfd:sluice") }
            #expect(ledgers <= 1, "\(after)")
            #expect(after.count { $0.contains("pipe:") } <= 2 + ledgers, "\(after)")
            // A body that was not delivered completely leaves nothing.
            try wires.service.fetch(wires.nginx.httpURL("/nothing"), expecting: Self.pattern)
                .finish(failing: .httpStatus)
            try idle(wires.service, 1)
            after = try Processes.descriptors(of: lane)
            #expect(!after.contains { $0.contains("memfd:sluice") }, "\(after)")
            #expect(after.count { $0.contains("pipe:") } <= 2, "\(after)")
        }

        @Test("jobs with small bodies use one ledger in turn, and each job begins a new account")
        func smallBodiesShareLedgerInTurn() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 300_000) }
            origin.on("/404") { try $0.respond("404 No") }
            origin.on("/twice") { connection in
                let start = connection.request.rangeStart ?? 0
                let end = start == 0 ? 1000 : 300_000
                try connection.sendHead(
                    start == 0 ? "200 OK" : "206 Partial Content",
                    headers: ["ETag: \"v1\"", "Content-Length: \(300_000 - start)"]
                        + (start == 0 ? [] : ["Content-Range: bytes \(start)-299999/300000"]))
                try connection.send(Self.pattern, start..<end)
                connection.close()
            }
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            func ledgers() throws -> Set<UInt> {
                Set(
                    try Processes.descriptors(of: service.processID).compactMap { descriptor -> UInt? in
                        guard descriptor.contains("memfd:sluice-ledger") else { return nil }
                        let number = descriptor.split(separator: " ")[0]
                        var status = stat()
                        guard stat("/proc/\(service.processID)/fd/\(number)", &status) == 0 else {
                            return nil
                        }
                        return UInt(status.st_ino)
                    })
            }
            var kept: Set<UInt> = []
            for round in 0..<4 {
                // The first consumer makes its origin wait: the closures belong to its job only.
                let job = try service.fetch(
                    origin.url(), expecting: Self.pattern, pace: round == 0 ? .stopAt(1000) : .full
                ) {
                    guard round == 0 else { return }
                    $0.highWatermark = 65_536
                    $0.lowWatermark = 16_384
                }
                if round == 0 {
                    try job.waitFor(.stalled)
                    job.reader.release()
                }
                let ended = try job.finishComplete(300_000)
                #expect(round == 0 ? ended.gateClosures > 0 : ended.gateClosures == 0, "\(round)")
                #expect(ended.bytesReceived == 300_000)
                try idle(service, 1)
                let found = try ledgers()
                #expect(found.count == 1 && (kept.isEmpty || found == kept), "\(round): \(found), \(kept)")
                kept = found
            }
            try service.fetch(origin.url("/404"), expecting: Self.pattern).finish(failing: .httpStatus)
            try idle(service, 1)
            #expect(try ledgers().isEmpty)
            // The lane of an earlier attempt could still write to the account of a later one.
            let twice = try service.fetch(origin.url("/twice"), expecting: Self.pattern) { $0.retries = 1 }
            #expect(try twice.finishComplete(300_000).attempts == 2)
            try idle(service, 1)
            #expect(try ledgers().isEmpty)
        }

        @Test("the daemon keeps no descriptor of a job that has ended")
        func daemonKeepsNoDescriptorsOfJobs() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            origin.on("/404") { try $0.respond("404 No") }
            origin.on("/silent") { $0.waitForClose() }
            let service = try TestService("lanes.minimum = 1\nlanes.idle_seconds = 0.1")
            func settled() throws -> Int {
                try eventually("one lane is left") {
                    let lanes = try service.status().lanes
                    return try lanes.idle == 1 && lanes.busy + lanes.starting == 0
                        && Processes.lanes(of: service.processID).count == 1
                }
                return try Processes.descriptors(of: service.processID).count
            }
            try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(100)
            let before = try settled()
            for _ in 0..<20 {
                try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(100)
                try service.fetch(origin.url("/404"), expecting: Self.pattern).finish(failing: .httpStatus)
                let job = try service.fetch(origin.url(), expecting: Self.pattern)
                job.reader.cancel()
                _ = try service.wait(job.id)
            }
            for number in 1...3 {
                let job = try service.fetch(origin.url("/silent"), expecting: nil)
                // A lane that dies before it has taken its order costs no attempt.
                try eventually("the lane has asked") {
                    origin.requests.count { $0.target == "/silent" } == number
                }
                kill(try job.lane(), SIGKILL)
                _ = try job.finish(failing: .laneDied)
            }
            try eventually("as many descriptors as before") { try settled() <= before }
        }

        @Test("lanes that die while idle are replaced")
        func replacesLanesThatDieIdle() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            let service = try TestService()
            let lanes = try Processes.lanes(of: service.processID)
            #expect(lanes.count == 2)
            for lane in lanes { kill(lane, SIGKILL) }
            try eventually("both are replaced") {
                let now = try Processes.lanes(of: service.processID)
                return now.count == 2 && Set(now).isDisjoint(with: lanes)
            }
            try idle(service, 2)
            #expect(try service.status().lanes.died == 2)
            try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(100)
        }

        @Test(
            "its program says what it is for if it is not started by the service",
            arguments: [[], ["--nursery"]])
        func programIsForServiceAlone(arguments: [String]) throws {
            let ended = try Program.run(try Products.path("sluice-lane"), arguments)
            #expect(ended.exit == .exited(64))
            #expect(ended.output.contains("is started by sluiced(8)"))
        }

        @Test("when no lane can be started any more, jobs fail with a message and the service keeps running")
        func jobsFailWhenNoLaneStarts() throws {
            let directory = try TemporaryDirectory()
            let lane = directory.file("lane")
            #expect(symlink(try Products.path("sluice-lane"), lane) == 0)
            var options = TestService.Options()
            options.arguments = ["--lane", lane]
            let service = try TestService(options)
            #expect(unlink(lane) == 0)
            try directory.write("#!/bin/sh\nexit 3\n", to: "lane", mode: 0o755)
            // The nursery first, or it could fork one more lane.
            if let nursery = try Processes.nursery(of: service.processID) {
                kill(nursery, SIGKILL)
                try eventually("the nursery has ended") { !Processes.runs(nursery) }
            }
            for process in try Processes.lanes(of: service.processID) { kill(process, SIGKILL) }
            let job = try service.fetch("http://127.0.0.1:1/", expecting: Self.pattern)
                .finish(failing: .laneUnavailable, delivered: 0)
            #expect(job.outcome?.message.contains("lane") == true)
            #expect(try service.status().jobs.failed == 1)
        }

        @Test("a thousand small jobs complete on at most four lanes, and no lane dies")
        func lanesSurviveThousandSmallJobs() throws {
            let wires = try Wires("lanes.maximum = 4")
            let path = try wires.nginx.serve("small", Self.pattern, count: 1000)
            let start = ContinuousClock.now
            let count = 1000
            for _ in 0..<count / 10 {
                let jobs = try (0..<10).map { _ in
                    try wires.service.fetch(wires.nginx.httpURL(path), expecting: Self.pattern)
                }
                for job in jobs { try job.finishComplete(1000) }
            }
            let time = start.duration(to: .now)
            print(
                "figure: \(count) jobs of 1000 bytes in \(time): \(Int(Double(count) / time.asSeconds)) a second"
            )
            #expect(try wires.service.status().lanes.died == 0)
        }
    }
}
