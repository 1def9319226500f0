import Glibc
import LaneProtocol
import SluiceCore
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix

extension Integration {
    /// Lanes that hang, and lanes that only seem to.
    @Suite("A lane that hangs")
    struct Hangs {
        static let pattern = Pattern(seed: 95)
        private static let size = 16 << 20

        /// The number of the last question that the lane of the service's one job has answered.
        private func answered(_ service: TestService) throws -> UInt64 {
            let ledgers = try Processes.descriptors(of: service.processID).filter {
                $0.contains("memfd:sluice-ledger")
            }
            let number = try #require(ledgers.first?.split(separator: " ").first)
            #expect(ledgers.count == 1)
            let file = open("/proc/\(service.processID)/fd/\(number)", O_RDWR | O_CLOEXEC)
            guard file >= 0 else { throw Errno(rawValue: errno) }
            let page = try SharedCounters(mapping: OwnedDescriptor(adopting: file))
            return try #require(Ledger(existing: page)).pulse.answered
        }

        /// Waits until the lane has answered this number of further questions.
        private func waitForAnswers(_ count: UInt64, _ service: TestService) throws {
            let before = try answered(service)
            try eventually("\(count) answers") { try answered(service) >= before + count }
        }

        @Test(
            "is replaced, also while its consumer does not read, and its job goes on with the next byte",
            arguments: [false, true])
        func replacesHangingLane(_ isStalled: Bool) throws {
            let nginx = try Nginx()
            let path = try nginx.serve("file", Self.pattern, count: Self.size)
            let service = try TestService(
                "lanes.hang_seconds = 2\nretries.retries = 1\nretries.base_seconds = 0\n"
                    + "parking.after_seconds = 3600\ngate.stalled_after_seconds = \(isStalled ? 0.05 : 60)")
            let job = try service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(2 << 20))
            try job.reader.waitForCount(2 << 20)
            if isStalled { try job.waitFor(.stalled) }
            let lane = try job.lane()
            try Processes.stop(lane)
            if !isStalled { job.reader.release() }
            try eventually("the lane has ended") { !Processes.runs(lane) }
            job.reader.release()
            let ended = try job.finishComplete(Self.size)
            #expect(ended.attempts == 2, "\(ended)")
            let first = try #require(ended.attemptLog.first)
            #expect(first.code == .laneDied)
            #expect(
                first.message?.hasSuffix("was killed: it did not answer the service for 2.0 s") == true,
                "\(first)")
            #expect(try #require(ended.attemptLog.last).position >= 2 << 20)
            #expect(service.log.contains("lane killed: it hangs"), "\(service.log)")
            #expect(try service.status().lanes.died == 1)
        }

        @Test("before it has taken its order costs the job no attempt")
        func costsNoAttemptBeforeOrder() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 1000) }
            let service = try TestService("lanes.minimum = 1\nlanes.hang_seconds = 1")
            let lane = try #require(try Processes.lanes(of: service.processID).first)
            try Processes.stop(lane)
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            #expect(try job.finishComplete(1000).attempts == 1)
            #expect(!Processes.runs(lane))
        }

        @Test("is not one whose origin is silent, or whose consumer does not read")
        func waitingLaneDoesNotHang() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.wait(for: gate)
                try connection.respond(pattern: Self.pattern, count: Self.size)
            }
            let service = try TestService("lanes.hang_seconds = 1\nparking.after_seconds = 3600")
            let job = try service.fetch(origin.url(), expecting: Self.pattern, pace: .stopAt(1000))
            try origin.waitForRequests(1)
            let lane = try job.lane()
            try waitForAnswers(6, service)
            gate.open()
            try job.waitFor(.stalled)
            try waitForAnswers(3, service)
            #expect(try job.lane() == lane)
            job.reader.release()
            #expect(try job.finishComplete(Self.size).attempts == 1)
            #expect(try service.status().lanes.died == 0)
        }

        @Test(
            "is not one that a stopped daemon could not check, or that was stopped together with the daemon")
        func stoppedDaemonKillsNoLane() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.wait(for: gate)
                try connection.respond(pattern: Self.pattern, count: 1000)
            }
            let service = try TestService("lanes.hang_seconds = 1")
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            let lane = try job.lane()
            try waitForAnswers(1, service)
            for processes in [[service.processID], [service.processID, lane]] {
                for process in processes { try Processes.stop(process) }
                // The test is about this time: the stop must last longer than `lanes.hang_seconds`.
                usleep(2_500_000)
                for process in processes { kill(process, SIGCONT) }
                try waitForAnswers(6, service)
            }
            gate.open()
            #expect(try job.finishComplete(1000).attempts == 1)
            #expect(try service.status().lanes.died == 0)
        }

        @Test("is left alone after a reload that sets lanes.hang_seconds to 0, until another reload")
        func reloadSwitchesHangCheck() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService("lanes.hang_seconds = 1")
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            try origin.waitForRequests(1)
            try waitForAnswers(1, service)
            func set(_ seconds: Int) throws {
                let reloads = service.log.ranges(of: "settings read again").count
                try service.directory.write("lanes.hang_seconds = \(seconds)\n", to: "sluiced.toml")
                kill(service.processID, SIGHUP)
                try eventually("the settings are read") {
                    service.log.ranges(of: "settings read again").count > reloads
                }
            }
            try set(0)
            try Processes.stop(try job.lane())
            // The test is that nothing happens in this time.
            usleep(3_000_000)
            #expect(try service.status().lanes.died == 0)
            try set(1)
            _ = try job.finish(failing: .laneDied, delivered: 0)
            #expect(try service.status().lanes.died == 1)
        }
    }
}
