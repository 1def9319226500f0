import SluiceInterface
import TestKit
import Testing
import Varlink

extension Integration {
    @Suite("Backpressure")
    struct Backpressure {
        static let pattern = Pattern(seed: 7)
        static let mebibyte = 1 << 20

        /// Private bytes of the daemon and a lane together.
        private func memory(_ service: TestService, _ lane: Int32) throws -> Int {
            try MemoryProbe(processID: service.processID).privateDirty
                + MemoryProbe(processID: lane).privateDirty
        }

        @Test(
            "a lane keeps the memory of a large body for its next one, and gives it back when there is none")
        func laneGivesMemoryBack() throws {
            let nginx = try Nginx()
            let service = try TestService("lanes.minimum = 1\nlanes.maximum = 1")
            let path = try nginx.serve("large", Self.pattern, count: 64 << 20)
            let small = try nginx.serve("small", Self.pattern, count: 1000)
            try service.fetch(nginx.httpURL(small), expecting: Self.pattern).finishComplete(1000)
            let lane = try #require(try Processes.lanes(of: service.processID).first)
            let before = try MemoryProbe(processID: lane).privateDirty
            // A slow consumer makes bytes wait in the lane.
            let job = try service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(10 * Self.mebibyte))
            try job.reader.waitForCount(10 * Self.mebibyte)
            try nginx.waitUntilBlocked(calm: .milliseconds(200))
            job.reader.release()
            try job.finishComplete(64 << 20)
            let after = try MemoryProbe(processID: lane).privateDirty
            try eventually("the lane has given it back") {
                try MemoryProbe(processID: lane).privateDirty - before < 512 << 10
            }
            let later = try MemoryProbe(processID: lane).privateDirty
            print(
                "figure: a lane's memory: \(before >> 10) KiB, after a body \(after >> 10), later \(later >> 10)"
            )
        }

        @Test("a consumer that stalls for 5 s costs no memory, blocks the origin, and then gets the rest")
        func stalledConsumerCostsNoMemory() throws {
            let nginx = try Nginx()
            let service = try TestService()
            let size = 256 << 20
            let path = try nginx.serve("large", Self.pattern, count: size)
            // The memory that a lane and a daemon need to run at all is not measured here.
            let warm = try service.fetch(nginx.httpURL(path), expecting: Self.pattern) {
                $0.maximumSize = 2 << 30
            }
            let lane = try warm.lane()
            try warm.finishComplete(size)
            let before = try memory(service, lane)

            let watcher = try service.client()
            let job = try service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(10 * Self.mebibyte))
            try watcher.send(
                "\(Ingest.interfaceName).Watch", Ingest.WatchParameters(id: job.id), mode: .more,
                deadline: Deadline.ofCall)
            try job.reader.waitForCount(10 * Self.mebibyte)
            #expect(try job.lane() == lane, "the lane that knows the origin was not taken")
            try nginx.waitUntilBlocked(calm: .seconds(1))
            let stalled = try job.waitFor(.stalled)
            let sent = try TCPTable.established(localPort: nginx.httpPort)
            var most = 0
            let end = Deadline(exactly: .seconds(5))
            while !end.hasPassed {
                most = max(most, try memory(service, lane))
                letPass(.milliseconds(250))
            }
            let later = try job.now()
            #expect(later.state == .stalled)
            #expect(later.bytesReceived == stalled.bytesReceived, "bytes came through a closed gate")
            #expect(try TCPTable.established(localPort: nginx.httpPort) == sent, "nginx sends on")
            #expect(later.stalledUsec - stalled.stalledUsec > 4_500_000)
            #expect(later.bytesBuffered <= later.highWatermark + 256 * 1024, "\(later)")
            let growth = most - before
            print("figure: memory of daemon and lane grew by \(growth / 1024) KiB in a stop of 5 s")
            #expect(growth < later.highWatermark + 2 * Self.mebibyte, "\(growth) bytes")
            #expect(try service.status().status.contains("1 stalled"))
            #expect(try statesSeen(watcher).contains(.stalled))

            job.reader.release()
            let done = try job.finishComplete(size)
            #expect(done.gateClosures > 0)
            #expect(done.stalledUsec > 4_500_000)
        }

        /// The states in the replies that have come so far.
        private func statesSeen(_ watcher: VarlinkClient) throws -> Set<JobState> {
            var states: Set<JobState> = []
            while let reply = try watcher.receiveIfAvailable() {
                states.insert(try reply.decode(as: Ingest.JobReply.self).job.state)
            }
            return states
        }

        @Test("Watch reports the stall and its end, in order")
        func watchReportsStallInOrder() throws {
            let nginx = try Nginx()
            let service = try TestService("gate.stalled_after_seconds = 0.1")
            let path = try nginx.serve("file", Self.pattern, count: 64 << 20)
            let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(1000))
            let watcher = try service.client()
            try watcher.send(
                "\(Ingest.interfaceName).Watch", Ingest.WatchParameters(id: job.id, intervalSeconds: 0.1),
                mode: .more, deadline: Deadline.ofCall)
            var states: [JobState] = []
            var delivered = 0
            while true {
                let reply = try watcher.next(deadline: Deadline.ofCall)
                let now = try reply.decode(as: Ingest.JobReply.self).job
                #expect(now.bytesDelivered >= delivered)
                delivered = now.bytesDelivered
                if states.last != now.state { states.append(now.state) }
                if now.state == .stalled { job.reader.release() }
                guard reply.continues else { break }
            }
            #expect(states.suffix(3) == [.stalled, .streaming, .complete], "\(states)")
            #expect(delivered == 64 << 20)
            try job.finishComplete(64 << 20)
        }

        @Test(
            "a closed gate bounds memory on every wire, and the body is right afterwards",
            arguments: Wire.available)
        func gateBoundsMemoryOnEveryWire(_ wire: Wire) throws {
            let wires = try Wires("gate.stalled_after_seconds = 0.1")
            let size = 128 << 20
            let path = try wires.nginx.serve("file", Self.pattern, count: size)
            let warm = try wires.service.fetch(wires.url(path, over: wire), expecting: Self.pattern)
            let lane = try warm.lane()
            try warm.finishComplete(size)
            let before = try memory(wires.service, lane)
            let job = try wires.service.fetch(
                wires.url(path, over: wire), expecting: Self.pattern, pace: .stopAt(10 * Self.mebibyte))
            try job.reader.waitForCount(10 * Self.mebibyte)
            try job.waitFor(.stalled)
            try wires.nginx.waitUntilBlocked(port: wires.port(wire), calm: .seconds(1))
            let growth = try memory(wires.service, lane) - before
            #expect(growth < 3 * Self.mebibyte, "\(growth) bytes over \(wire)")
            job.reader.release()
            try job.finishComplete(size)
        }

        @Test(
            "a job's own watermarks bound its buffered bytes",
            arguments: [(1, 0), (64 << 10, 0), (64 << 10, (64 << 10) - 1), (16 << 20, 1 << 20)])
        func ownWatermarksBoundBuffer(_ high: Int, _ low: Int) throws {
            let nginx = try Nginx()
            let service = try TestService("gate.stalled_after_seconds = 0.1")
            let size = 64 << 20
            let path = try nginx.serve("file", Self.pattern, count: size)
            let job = try service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(Self.mebibyte)
            ) {
                $0.highWatermark = high
                $0.lowWatermark = low
            }
            try job.reader.waitForCount(Self.mebibyte)
            // A job counts as stalled as soon as no byte moves, which may be before this number of bytes have come.
            try eventually("the gate closes") { try job.now().gateClosures >= 1 }
            let stalled = try job.waitFor(.stalled)
            #expect(stalled.highWatermark == high)
            #expect(stalled.lowWatermark == low)
            // One receive buffer of libcurl comes when the gate is still just open.
            #expect(stalled.bytesBuffered <= high + 64 * 1024, "\(stalled)")
            // The consumer may have taken some bytes since the gate closed. At the low mark the gate would be open
            // again.
            #expect(stalled.bytesBuffered > low, "\(stalled)")
            job.reader.release()
            try job.finishComplete(size)
        }

        @Test("a job whose consumer keeps up never closes the gate")
        func fastConsumerNeverClosesGate() throws {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: \(1 << 20)"])
                try connection.sendSlowly(
                    Self.pattern.bytes(0..<(1 << 20)), piece: 64 << 10, pause: .milliseconds(5))
            }
            let service = try TestService()
            let job = try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1 << 20)
            #expect(job.gateClosures == 0)
            #expect(job.stalledUsec == 0)
        }
    }
}
