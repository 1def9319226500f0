import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// Ends that the consumer, the owner and the service cause, in every state of a job.
    @Suite("Endings")
    struct Endings {
        static let pattern = Pattern(seed: 9)

        /// The states in which a job can be ended.
        enum Moment: String, CaseIterable, Sendable {
            case queued
            case connecting
            case streaming
            case stalled
            case silent
        }

        /// An origin for every state, behind a service with two lanes.
        final class Scene {
            let wires: Wires
            let slow: BadOrigin
            let fileSize = 1 << 30
            private var blockers: [TestJob] = []

            init() throws {
                wires = try Wires("lanes.maximum = 2\nlanes.minimum = 2\ngate.stalled_after_seconds = 0.1")
                try wires.nginx.serve("large", Endings.pattern, count: fileSize)
                slow = try BadOrigin { $0.waitForClose() }
                slow.on("/silent") { connection in
                    try connection.sendHead(headers: ["Content-Length: 100000"])
                    try connection.send(Endings.pattern, 0..<1000)
                    connection.waitForClose()
                }
            }

            /// A job in this state.
            func job(at moment: Moment, over wire: Wire) throws -> TestJob {
                let large = wires.url("/large", over: wire)
                switch moment {
                case .queued:
                    blockers = try (0..<2).map { _ in
                        try wires.service.fetch(slow.url("/"), expecting: Endings.pattern)
                    }
                    for blocker in blockers { try blocker.waitFor(.connecting) }
                    let job = try wires.service.fetch(large, expecting: Endings.pattern)
                    try job.waitFor(.queued)
                    return job
                case .connecting:
                    let before = slow.requests.count
                    let job = try wires.service.fetch(slow.url("/"), expecting: Endings.pattern)
                    try slow.waitForRequests(before + 1)
                    return job
                case .streaming:
                    let job = try wires.service.fetch(large, expecting: Endings.pattern)
                    try job.reader.waitForCount(10 << 20)
                    return job
                case .stalled:
                    let job = try wires.service.fetch(
                        large, expecting: Endings.pattern, pace: .stopAt(1 << 20))
                    try job.waitFor(.stalled)
                    return job
                case .silent:
                    let job = try wires.service.fetch(slow.url("/silent"), expecting: Endings.pattern)
                    try job.reader.waitForCount(1000)
                    return job
                }
            }

            /// Checks that both lanes are free again, and soon.
            func isFree(sourceLocation: SourceLocation = #_sourceLocation) throws {
                for blocker in blockers { blocker.reader.cancel() }
                blockers = []
                try eventually("the lanes are free") {
                    let status = try wires.service.status()
                    return status.lanes.busy == 0 && status.jobs.queued + status.jobs.connecting == 0
                }
            }
        }

        @Test("a consumer that closes its pipe ends its job at once", arguments: Wire.available)
        func closedPipeEndsJob(_ wire: Wire) throws {
            let scene = try Scene()
            for moment in Moment.allCases {
                try judge("the end while \(moment) over \(wire)", takesLessThan: .seconds(1)) {
                    let job = try scene.job(at: moment, over: wire)
                    var ended: Job?
                    let time = try elapsed {
                        job.reader.cancel()
                        ended = try scene.wires.service.wait(job.id)
                    }
                    let end = try #require(ended)
                    #expect(end.outcome?.code == .consumerGone, "\(moment): \(end)")
                    #expect(end.state == .failed)
                    #expect(end.bytesDelivered >= job.reader.count, "\(moment)")
                    try scene.isFree()
                    return time
                }
            }
            #expect(try scene.wires.service.status().lanes.died == 0)
        }

        @Test(
            "Cancel ends a job within a second in every state, also behind a closed gate",
            arguments: Wire.available)
        func cancelEndsJobInEveryState(_ wire: Wire) throws {
            let scene = try Scene()
            for moment in Moment.allCases {
                try judge("cancel while \(moment) over \(wire)", takesLessThan: .seconds(1)) {
                    let job = try scene.job(at: moment, over: wire)
                    var cancelled: Job?
                    let time = try elapsed { cancelled = try scene.wires.service.cancel(job.id) }
                    let ended = try #require(cancelled)
                    print("figure: cancel while \(moment) over \(wire): \(Int(time.asSeconds * 1e6)) µs")
                    #expect(ended.outcome?.code == .cancelled, "\(moment): \(ended)")
                    #expect(ended.state == .cancelled)
                    job.reader.release()
                    let report = try job.reader.waitForEnd()
                    #expect(report.count == ended.bytesDelivered, "\(moment) over \(wire)")
                    // A second time changes nothing.
                    #expect(try scene.wires.service.cancel(job.id) == ended)
                    try scene.isFree()
                    return time
                }
            }
            #expect(try scene.wires.service.status().lanes.died == 0)
        }

        @Test("a hundred jobs are cancelled at random moments at full speed, and every account is exact")
        func accountsAreExactAfterRandomCancels() throws {
            let scene = try Scene()
            var dice = Dice()
            for round in 0..<100 {
                let job = try scene.wires.service.fetch(
                    scene.wires.nginx.httpURL("/large"), expecting: Self.pattern)
                try job.reader.waitForCount(.random(in: 1...(8 << 20), using: &dice))
                let ended = try scene.wires.service.cancel(job.id)
                let report = try job.reader.waitForEnd()
                #expect(report.count == ended.bytesDelivered, "round \(round), seed \(dice.seed): \(ended)")
            }
            #expect(try scene.wires.service.status().lanes.died == 0, "\(scene.wires.service.log)")
        }

        @Test("a lane that does not answer a cancel is replaced")
        func replacesLaneThatIgnoresCancel() throws {
            let wires = try Wires("lanes.end_seconds = 0.3")
            try wires.nginx.serve("large", Self.pattern, count: 1 << 30)
            let job = try wires.service.fetch(
                wires.nginx.httpURL("/large"), expecting: Self.pattern, pace: .stopAt(1 << 20))
            try job.reader.waitForCount(1 << 20)
            let lane = try job.lane()
            try Processes.stop(lane)
            let ended = try wires.service.cancel(job.id)
            #expect(ended.outcome?.code == .cancelled)
            job.reader.release()
            #expect(try job.reader.waitForEnd().count == ended.bytesDelivered)
            #expect(!Processes.runs(lane))
            #expect(wires.service.log.contains("lane replaced"))
            try wires.nginx.serve("small", Self.pattern, count: 1000)
            try wires.service.fetch(wires.nginx.httpURL("/small"), expecting: Self.pattern).finishComplete(
                1000)
        }

        @Test(
            "SIGTERM ends running jobs as serviceStopped, answers waiting clients, and leaves no lane and no socket"
        )
        func terminationEndsJobsAndAnswersWaiters() throws {
            let scene = try Scene()
            let job = try scene.job(at: .stalled, over: .http)
            let service = scene.wires.service
            let waiter = try service.client()
            try waiter.send(
                "\(Ingest.interfaceName).Wait", Ingest.JobParameters(id: job.id), mode: .single,
                deadline: Deadline.ofCall)
            _ = try service.status()
            let lanes = try Processes.lanes(of: service.processID)
            #expect(lanes.count == 2)
            try judge("the end of the service", takesLessThan: .seconds(4), attempts: 1) {
                try elapsed {
                    service.program.signal(SIGTERM)
                    let ended = try waiter.next(deadline: Deadline.ofCall).decode(as: Ingest.JobReply.self)
                        .job
                    #expect(ended.outcome?.code == .serviceStopped)
                    job.reader.release()
                    #expect(try job.reader.waitForEnd().count == ended.bytesDelivered)
                    let result = try service.program.wait()
                    #expect(result.exit == .exited(0), "\(result)")
                }
            }
            #expect(access(service.socket, F_OK) != 0, "the socket file is still there")
            try judge("the lanes' end", takesLessThan: .seconds(1), attempts: 1) {
                try elapsed {
                    try eventually("the lanes are gone") { !lanes.contains { Processes.runs($0) } }
                }
            }
        }

        @Test("no lane outlives a daemon that is killed, not even behind a closed gate")
        func noLaneOutlivesKilledDaemon() throws {
            let scene = try Scene()
            let job = try scene.job(at: .stalled, over: .http)
            let service = scene.wires.service
            let lanes = try Processes.lanes(of: service.processID)
            #expect(lanes.count == 2)
            service.program.signal(SIGKILL)
            _ = try service.program.wait()
            try judge("the lanes' end", takesLessThan: .seconds(1), attempts: 1) {
                try elapsed {
                    try eventually("the lanes are gone") { !lanes.contains { Processes.runs($0) } }
                }
            }
            job.reader.release()
            // The consumer sees an end, and what it has is right.
            try job.reader.waitForEnd()
        }
    }
}
