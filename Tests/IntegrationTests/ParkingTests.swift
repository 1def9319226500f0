import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// Jobs whose consumers do not read give up their lanes and connections, and continue later where they were.
    @Suite("Parking")
    struct Parking {
        static let pattern = Pattern(seed: 91)
        static let soon = "parking.after_seconds = 0.15\ngate.stalled_after_seconds = 0.05\n"
        static let one = "lanes.minimum = 1\nlanes.maximum = 1\n"
        static let size = 8 << 20

        /// An nginx with a large file and a small one, and a service that parks soon.
        struct Scene {
            let wires: Wires
            var service: TestService { wires.service }
            var nginx: Nginx { wires.nginx }

            init(_ settings: String = "", size: Int = Parking.size) throws {
                wires = try Wires(Parking.soon + settings)
                try nginx.serve("file", Parking.pattern, count: size)
                try nginx.serve("small", Parking.pattern, count: 1000)
            }

            var url: String { nginx.httpURL("/file") }

            /// A consumer of the large file that has read a little, and then stopped.
            func parked(
                _ url: String? = nil, reading count: Int = 1000,
                _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
            ) throws -> SteppedConsumer {
                let consumer = try SteppedConsumer(
                    service, url ?? self.url, expecting: Parking.pattern, change)
                try consumer.read(count)
                try consumer.waitFor(.parked)
                return consumer
            }

            /// Checks that another job gets a lane and completes.
            func others() throws {
                try service.fetch(nginx.httpURL("/small"), expecting: Parking.pattern).finishComplete(1000)
            }
        }

        @Test(
            "each time its consumer stops reading, a job gives up lane and connection, then continues at the next byte",
            arguments: Wire.available)
        func parksAndContinuesRepeatedly(_ wire: Wire) throws {
            let scene = try Scene(Self.one)
            let consumer = try SteppedConsumer(
                scene.service, scene.wires.url("/file", over: wire), expecting: Self.pattern)
            var positions: [Int] = [0]
            for round in 1...4 {
                try consumer.read(round == 1 ? 1000 : 1 << 20)
                let parked = try consumer.waitFor(.parked)
                #expect(parked.bytesBuffered == 0, "\(parked)")
                #expect(parked.attempts == round)
                #expect(parked.attemptLog.last?.endedUsec != nil && parked.attemptLog.last?.code == nil)
                positions.append(parked.bytesDelivered)
                #expect(parked.bytesDelivered == consumer.count + (try consumer.waiting()))
                try eventually("nginx has no connection of the lane's") {
                    try TCPTable.established(localPort: scene.wires.port(wire)).isEmpty
                }
                try eventually("the lane is free") { try scene.service.status().lanes.idle == 1 }
                #expect(try consumer.now().laneProcessID == nil)
                try scene.others()
                #expect(try scene.service.status().jobs.parked == 1)
            }
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .complete, "\(ended)")
            #expect(consumer.count == Self.size && ended.bytesDelivered == Self.size)
            #expect(ended.attemptLog.map(\.position) == positions)
            #expect(ended.stalledUsec > 400_000, "the time before each parking: \(ended)")
            #expect(ended.attemptLog.dropFirst().allSatisfy { $0.httpStatus == 206 })
            try eventually("nginx has written its log") {
                try Continuation.ranges(scene.nginx) == Array(positions.dropFirst())
            }
            // None of them counted as a failure.
            #expect(!scene.service.log.contains("attempt failed"))
        }

        @Test("a parked job continues once its consumer has left at most a quarter of the pipe unread")
        func continuesWhenQuarterIsUnread() throws {
            let scene = try Scene()
            let consumer = try scene.parked()
            let mark = try consumer.capacity() / 4
            let attempts = try consumer.now().attempts
            // One page, half of the pipe, and everything except a little more than the mark.
            let full = try consumer.waiting()
            for left in [full - 4096, full / 2, mark + 1] {
                try consumer.read(try consumer.waiting() - left)
                // This is long enough for ten checks by the service.
                letPass(.milliseconds(120))
                let now = try consumer.now()
                #expect(now.state == .parked && now.attempts == attempts, "\(left) left of \(full): \(now)")
            }
            try consumer.read(1)
            try eventually("it goes on") { try consumer.now().attempts == attempts + 1 }
            #expect(try consumer.readToEnd().outcome?.code == .complete)
            #expect(consumer.count == Self.size)
        }

        @Test("a parked job can be cancelled")
        func parkedJobCanBeCancelled() throws {
            let scene = try Scene()
            let consumer = try scene.parked()
            let ended = try scene.service.cancel(consumer.id)
            #expect(ended.state == .cancelled && ended.outcome?.code == .cancelled)
            // The delivered bytes arrive, and then the end.
            _ = try consumer.readToEnd()
            #expect(consumer.count == ended.bytesDelivered)
        }

        @Test("a consumer that closes its pipe ends its parked job")
        func closedPipeEndsParkedJob() throws {
            let scene = try Scene()
            let consumer = try scene.parked()
            consumer.close()
            let ended = try scene.service.wait(consumer.id)
            #expect(ended.outcome?.code == .consumerGone, "\(ended)")
            #expect(try scene.service.status().jobs.parked == 0)
        }

        @Test("a deadline also ends a parked job")
        func deadlineEndsParkedJob() throws {
            let scene = try Scene()
            let consumer = try scene.parked { $0.deadlineSeconds = 1 }
            let ended = try scene.service.wait(consumer.id)
            #expect(ended.outcome?.code == .deadlineExceeded, "\(ended)")
            _ = try consumer.readToEnd()
            #expect(consumer.count == ended.bytesDelivered)
        }

        @Test(
            "a job whose body is replaced while it is parked ends as resourceChanged, without bytes of the new body"
        )
        func replacedBodyIsNotMixed() throws {
            let scene = try Scene()
            try Continuation.age("\(scene.nginx.root)/file")
            try scene.nginx.serve("new", Pattern(seed: 92), count: Self.size)
            let consumer = try scene.parked()
            #expect(rename("\(scene.nginx.root)/new", "\(scene.nginx.root)/file") == 0)
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .resourceChanged, "\(ended)")
            #expect(consumer.count == ended.bytesDelivered)
        }

        @Test(
            "an origin that is gone when the consumer reads again is retried as often as the settings allow")
        func retriesOriginGoneAfterParking() throws {
            let scene = try Scene("retries.retries = 2\nretries.base_seconds = 0.005\n")
            let consumer = try scene.parked()
            scene.nginx.stop()
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .connectionRefused, "\(ended)")
            #expect(ended.attempts == 1 + 3)
            #expect(consumer.count == ended.bytesDelivered)
        }

        @Test("parking is not a failure: with no retries, a job parks and continues as often as necessary")
        func parkingCostsNoRetries() throws {
            let scene = try Scene("retries.retries = 0\n", size: 3 << 20)
            let consumer = try scene.parked()
            for _ in 0..<3 {
                try consumer.read(300_000)
                try consumer.waitFor(.parked)
            }
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .complete && ended.attempts == 5, "\(ended)")
        }

        @Test("a job is parked even when the rest of its small body already waits in the lane")
        func parksSmallBodyWaitingInLane() throws {
            let scene = try Scene(Self.one, size: 300_000)
            let consumer = try SteppedConsumer(scene.service, scene.url, expecting: Self.pattern)
            let parked = try consumer.waitFor(.parked)
            #expect(parked.bytesDelivered < 300_000 && parked.bytesBuffered == 0, "\(parked)")
            try scene.others()
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .complete && consumer.count == 300_000, "\(ended)")
            #expect(ended.attemptLog.last?.position == parked.bytesDelivered)
        }

        @Test("a body that fits into the pipe is complete, whether it is read or not")
        func bodyThatFitsPipeCompletes() throws {
            let scene = try Scene(size: 60_000)
            let consumer = try SteppedConsumer(scene.service, scene.url, expecting: Self.pattern)
            #expect(try scene.service.wait(consumer.id).outcome?.code == .complete)
            #expect(try consumer.readToEnd().attempts == 1)
            #expect(consumer.count == 60_000)
        }

        @Test("a job on an upgraded connection is parked like any other")
        func parksJobOnUpgradedConnection() throws {
            let scene = try Scene(Self.one, size: 64 << 20)
            let consumer = try SteppedConsumer(
                upgrading: scene.service, scene.url, expecting: Self.pattern)
            try consumer.waitFor(.parked)
            try scene.others()
            try consumer.read(16 << 20)
            let again = try consumer.waitFor(.parked)
            #expect(again.attempts > 1)
            let ended = try consumer.readToEnd()
            #expect(ended.outcome?.code == .complete && consumer.count == 64 << 20, "\(ended)")
        }

        @Test(
            "a job that continues waits in the queue like any other, and ends there when its consumer closes its pipe"
        )
        func continuingJobQueuesLikeOthers() throws {
            let scene = try Scene(Self.one)
            let origin = try BadOrigin { $0.waitForClose() }
            let first = try scene.parked()
            let second = try scene.parked()
            let busy = try scene.service.open(origin.url())
            try origin.waitForRequests(1)
            for consumer in [first, second] {
                try consumer.read(try consumer.waiting())
                let queued = try consumer.waitFor(.queued)
                #expect(queued.bytesDelivered == consumer.count && queued.bytesBuffered == 0, "\(queued)")
            }
            first.close()
            #expect(try scene.service.wait(first.id).outcome?.code == .consumerGone)
            close(busy.body)
            let ended = try second.readToEnd()
            #expect(ended.outcome?.code == .complete && ended.attempts == 2, "\(ended)")
            #expect(second.count == Self.size)
        }

        @Test("consumers of every pace share two lanes, and each gets its whole body")
        func consumersOfEveryPaceShareLanes() throws {
            let scene = try Scene("lanes.minimum = 2\nlanes.maximum = 2\n", size: 2 << 20)
            var dice = Dice()
            var jobs: [TestJob] = []
            for number in 0..<16 {
                let pace: ThreadedReader.Pace =
                    switch number % 4 {
                    case 0: .stopAt(.random(in: 0...1_500_000, using: &dice))
                    case 1: .slow(piece: 150_000, pause: .milliseconds(.random(in: 1...40, using: &dice)))
                    case 2: .pieces(4093)
                    default: .full
                    }
                jobs.append(
                    try scene.service.fetch(
                        scene.wires.url("/file", over: Wire.available[number % Wire.available.count]),
                        expecting: Self.pattern, pace: pace))
            }
            // In the end only jobs whose consumers stop wait for them, unless the rest fits into a pipe.
            var counts = Ingest.JobCounts()
            try eventually(
                "all others are done, seed \(dice.seed): \(counts)",
                every: .milliseconds(20)
            ) {
                counts = try scene.service.status().jobs
                return counts.parked + counts.complete == 16 && counts.parked <= 4
            }
            #expect(counts.parked > 0)
            for job in jobs { job.reader.release() }
            for job in jobs { try job.finishComplete(2 << 20) }
        }

        @Test(
            "a service that stops also ends jobs without lanes, and reports this to the clients that wait for them"
        )
        func stopEndsJobsWithoutLanes() throws {
            let scene = try Scene("retries.retries = 1\nretries.base_seconds = 0\n")
            let origin = try BadOrigin { try $0.respond("503 Later", headers: ["Retry-After: 60"]) }
            let parked = try scene.parked()
            let waiting = try SteppedConsumer(scene.service, origin.url(), expecting: Self.pattern)
            try waiting.waitFor(.waiting)
            var clients: [VarlinkClient] = []
            for consumer in [parked, waiting] {
                let client = try scene.service.client()
                try client.send(
                    "\(Ingest.interfaceName).Wait", Ingest.JobParameters(id: consumer.id), mode: .single)
                clients.append(client)
            }
            // The service answers calls in order, so it has received the calls above by then.
            _ = try scene.service.status()
            scene.service.program.signal(SIGTERM)
            for client in clients {
                let job = try client.next(deadline: Deadline.ofCall).decode(as: Ingest.JobReply.self).job
                #expect(job.outcome?.code == .serviceStopped, "\(job)")
            }
            #expect(try scene.service.program.wait().exit == .exited(0))
        }

        @Test("Watch reports the parking and the states that follow, in order")
        func watchReportsParkingInOrder() throws {
            let scene = try Scene()
            let consumer = try SteppedConsumer(scene.service, scene.url, expecting: Self.pattern)
            let watcher = try scene.service.client()
            try watcher.send(
                "\(Ingest.interfaceName).Watch", Ingest.WatchParameters(id: consumer.id), mode: .more,
                deadline: Deadline.ofCall)
            var states: [JobState] = []
            var delivered = 0
            while true {
                let reply = try watcher.next(deadline: Deadline.ofCall)
                let now = try reply.decode(as: Ingest.JobReply.self).job
                #expect(now.bytesDelivered >= delivered && now.bytesReceived >= now.bytesDelivered, "\(now)")
                delivered = now.bytesDelivered
                if states.last != now.state { states.append(now.state) }
                if now.state == .parked {
                    #expect(now.bytesBuffered == 0, "\(now)")
                    let ended = try consumer.readToEnd()
                    #expect(ended.outcome?.code == .complete)
                }
                guard reply.continues else { break }
            }
            let place = try #require(states.firstIndex(of: .parked), "\(states)")
            #expect(states[place - 1] == .stalled, "\(states)")
            #expect(states[(place + 1)...].starts(with: [.queued, .connecting, .streaming]), "\(states)")
            #expect(states.last == .complete && delivered == Self.size)
        }

        @Test("fifty parked jobs cost the daemon almost no wake-ups and almost no processor time")
        func parkedJobsCostAlmostNothing() throws {
            let scene = try Scene("lanes.maximum = 8\n")
            var consumers: [SteppedConsumer] = []
            for _ in 0..<50 {
                consumers.append(try SteppedConsumer(scene.service, scene.url, expecting: Self.pattern))
            }
            try eventually("all are parked", every: .milliseconds(50)) {
                try scene.service.status().jobs.parked == 50
            }
            let daemon = scene.service.processID
            // One or two lanes may just have been ended.
            try eventually("it is quiet") {
                let before = try Self.wakeUps(daemon)
                letPass(.milliseconds(300))
                return try Self.wakeUps(daemon) - before <= 3
            }
            try judge("wake-ups and ticks in 2 s of 50 parked jobs") {
                let before = (wakeUps: try Self.wakeUps(daemon), ticks: try Self.ticks(daemon))
                // This time is what is measured.
                letPass(.seconds(2))
                let wakeUps = try Self.wakeUps(daemon) - before.wakeUps
                let ticks = try Self.ticks(daemon) - before.ticks
                print("figure: \(wakeUps) wake-ups and \(ticks) ticks in 2 s of 50 parked jobs")
                return (wakeUps, ticks)
            } by: { wakeUps, ticks in
                // libdispatch itself wakes up once a second.
                wakeUps <= 8 && ticks <= 1
            }
            for consumer in consumers.prefix(5) {
                #expect(try consumer.readToEnd().outcome?.code == .complete)
                #expect(consumer.count == Self.size)
            }
        }

        /// Number of times that any thread of a process has run again after a wait.
        private static func wakeUps(_ process: Int32) throws -> Int {
            let tasks = try Program.run("/bin/ls", ["/proc/\(process)/task"]).successful().output
            return try tasks.split(separator: "\n").reduce(0) { sum, task in
                let status = try readText("/proc/\(process)/task/\(task)/status")
                let line = status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt_switches") }
                return sum + (line.flatMap { Int($0.split(separator: "\t").last ?? "") } ?? 0)
            }
        }

        /// The processor time of the process, in ticks of 10 ms.
        private static func ticks(_ process: Int32) throws -> Int {
            let text = try readText("/proc/\(process)/stat")
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
        }
    }
}
