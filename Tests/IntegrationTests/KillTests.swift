import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// Lanes that are killed, and what their jobs and consumers report then.
    @Suite("Exactness")
    struct Exactness {
        static let pattern = Pattern(seed: 5)

        /// Number of lanes to kill: SLUICE_TEST_KILLS, or else a few.
        static func kills(unlessTold few: Int) -> Int {
            getenv("SLUICE_TEST_KILLS").flatMap { Int(String(cString: $0)) } ?? few
        }

        @Test("a lane that is killed at any moment leaves an account of exactly what the consumer got")
        func killedLaneLeavesExactAccount() throws {
            let nginx = try Nginx()
            let service = try TestService("lanes.minimum = 4")
            let size = 192 << 20
            let path = try nginx.serve("large", Self.pattern, count: size)
            let kills = Self.kills(unlessTold: 40)
            var dice = Dice()
            var wrong = 0
            var inFlight = 0
            var lost = 0
            let start = ContinuousClock.now
            for round in 0..<kills {
                let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern)
                let lane = try job.lane()
                // In most rounds the lane is killed while bytes flow at full speed, in some while the job is young.
                if round % 8 != 0 {
                    try job.reader.waitForCount(.random(in: 1...(24 << 20), using: &dice))
                }
                Self.spin(nanoseconds: .random(in: 0..<3_000_000, using: &dice))
                kill(lane, SIGKILL)
                let ended = try service.wait(job.id)
                let report = try job.reader.waitForEnd()
                if ended.outcome?.code == .complete, round % 8 == 0 {
                    // The lane was killed before it had the order: another lane has done all the work, and that was
                    // the first attempt.
                    lost += 1
                    #expect(report.count == size && ended.attempts == 1, "\(ended)")
                } else if report.count != ended.bytesDelivered || ended.outcome?.code != .laneDied {
                    wrong += 1
                    Issue.record("round \(round), seed \(dice.seed): consumer has \(report.count): \(ended)")
                }
                if ended.bytesReceived > ended.bytesDelivered { inFlight += 1 }
            }
            print(
                "figure: \(kills) kills of jobs without retries, \(wrong) wrong, \(inFlight) with bytes on the way, "
                    + "\(lost) before the order; \(Self.seconds(since: start)) s; seed \(dice.seed)")
            #expect(try service.status().lanes.died == kills)
        }

        @Test("lanes that are killed while bytes flow at full speed cost their jobs attempts, but not a byte")
        func killsAtFullSpeedLoseNothing() throws {
            let size = 192 << 20
            let nginx = try Nginx()
            let service = try TestService(
                "lanes.minimum = 4\nretries.retries = 1000\nretries.base_seconds = 0\n")
            let path = try nginx.serve("large", Self.pattern, count: size)
            let kills = Self.kills(unlessTold: 60)
            var dice = Dice()
            var done = 0
            var tally = (jobs: 0, wrong: 0, uncertain: 0, attempts: 0, resumed: 0, early: 0)
            let start = ContinuousClock.now
            while done < kills {
                let job = try service.fetch(nginx.httpURL(path), expecting: Self.pattern)
                var mark = 0
                var killed: Int32 = 0
                var killsOfJob = 0
                while done < kills {
                    mark += Int.random(in: 1...(32 << 20), using: &dice)
                    // Near the end the lane may have finished the job when the signal arrives.
                    guard mark < size - (48 << 20) else { break }
                    // This waits until bytes flow again, so that the same lane is not killed twice.
                    let lane = try Self.lane(of: job, after: killed)
                    try job.reader.waitForCount(mark)
                    Self.spin(nanoseconds: .random(in: 0..<2_000_000, using: &dice))
                    kill(lane, SIGKILL)
                    killed = lane
                    mark = max(mark, job.reader.count)
                    killsOfJob += 1
                    done += 1
                }
                let ended = try job.finish()
                tally.jobs += 1
                tally.attempts += ended.attempts
                tally.resumed += ended.attemptLog.count { $0.position > 0 }
                tally.early += killsOfJob + 1 - ended.attempts
                if ended.outcome?.code == .deliveryUncertain { tally.uncertain += 1 }
                if ended.outcome?.code != .complete || ended.bytesDelivered != size {
                    tally.wrong += 1
                    Issue.record("seed \(dice.seed): after \(killsOfJob) kills \(ended)")
                }
                #expect(ended.attempts <= killsOfJob + 1, "\(ended)")
            }
            print(
                "figure: \(kills) kills at full speed in \(tally.jobs) jobs: \(tally.wrong) wrong, "
                    + "\(tally.uncertain) uncertain, \(tally.attempts) attempts, \(tally.resumed) of them in "
                    + "mid-body, \(tally.early) kills before the order; \(Self.seconds(since: start)) s; "
                    + "seed \(dice.seed)")
            #expect(tally.uncertain == 0)
            #expect(try service.status().lanes.died == kills)
        }

        /// The job's lane, once it is another lane than the killed one.
        private static func lane(of job: TestJob, after killed: Int32) throws -> Int32 {
            var lane = killed
            try eventually("the job has a new lane", every: .milliseconds(1)) {
                lane = try job.lane()
                return lane != killed
            }
            return lane
        }

        @Test("lanes that are killed behind a closed gate lose no bytes either", arguments: [false, true])
        func killsAtClosedGateLoseNothing(_ readsOn: Bool) throws {
            let size = 24 << 20
            let nginx = try Nginx()
            let service = try TestService(
                "gate.stalled_after_seconds = 0.02\nretries.retries = 100\nretries.base_seconds = 0\n")
            let path = try nginx.serve("file", Self.pattern, count: size)
            let job = try service.fetch(
                nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(1 << 20))
            var killed: Int32 = 0
            for _ in 0..<6 {
                let lane = try Self.lane(of: job, after: killed)
                try job.waitFor(.stalled)
                kill(lane, SIGKILL)
                killed = lane
            }
            if readsOn { job.reader.release() }
            _ = try Self.lane(of: job, after: killed)
            job.reader.release()
            let ended = try job.finishComplete(size)
            #expect(ended.attempts == 7)
            // The consumer got what its pipe could take, and nothing after that.
            #expect(Set(ended.attemptLog.dropFirst().map(\.position)).count <= 2, "\(ended.attemptLog)")
        }

        @Test(
            "after a lane's death, a job with a digest fetches the whole body again and hashes it from the first byte"
        )
        func digestCoversBytesBeforeLaneDeath() throws {
            let size = 24 << 20
            let nginx = try Nginx()
            let service = try TestService("retries.retries = 5\nretries.base_seconds = 0\n")
            let path = try nginx.serve("file", Self.pattern, count: size)
            let sum = try Self.pattern.sha256(count: size)
            for (digest, code) in [
                ("sha256:\(sum)", OutcomeCode.complete),
                ("sha256:\(String(repeating: "0", count: 64))", .digestMismatch),
            ] {
                let job = try service.fetch(
                    nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(4 << 20)
                ) { $0.digest = digest }
                try job.reader.waitForCount(4 << 20)
                kill(try job.lane(), SIGKILL)
                job.reader.release()
                let ended = try job.finish()
                #expect(ended.outcome?.code == code, "\(ended)")
                #expect(ended.digest == "sha256:\(sum)")
                #expect(ended.attempts == 2)
                #expect(ended.attemptLog.last.map { $0.position >= 4 << 20 } == true)
            }
            #expect(try nginx.accessLog().allSatisfy { $0.contains("\"-\"") }, "a part was asked for")
        }

        @Test("a job whose lane dies in every attempt fails in the end, while other jobs complete")
        func jobThatLosesEveryLaneFails() throws {
            let origin = try BadOrigin()
            origin.on("/kills") { connection in
                try connection.sendHead(headers: ["Content-Length: 100000", "ETag: \"a\""])
                try connection.send(Self.pattern.bytes(0..<5000))
                connection.waitForClose()
            }
            origin.on("/good") { try $0.respond(pattern: Self.pattern, count: 100_000) }
            let service = try TestService(
                "lanes.minimum = 1\nlanes.maximum = 2\nretries.retries = 10\nretries.base_seconds = 0\n")
            let bad = try service.fetch(origin.url("/kills"), expecting: Self.pattern)
            var good = 0
            while case let job = try bad.now(), !job.state.isFinal {
                // The test does what servers could do in earlier versions.
                if job.state == .streaming, let lane = job.laneProcessID, lane > 1 {
                    kill(Int32(lane), SIGKILL)
                }
                try service.fetch(origin.url("/good"), expecting: Self.pattern)
                    .finishComplete(100_000)
                good += 1
            }
            let ended = try bad.finish(failing: .laneDied)
            #expect(ended.attempts == 11, "\(ended)")
            #expect(ended.bytesDelivered <= 5000)
            #expect(ended.attemptLog.allSatisfy { $0.code == .laneDied })
            #expect(good >= 3, "only \(good) other jobs were done meanwhile")
            #expect(try service.status().lanes.died == 11)
        }

        // MARK: Time

        static func spin(nanoseconds: UInt64) {
            let until = now() + nanoseconds
            while now() < until {}
        }

        private static func now() -> UInt64 {
            var now = timespec()
            clock_gettime(CLOCK_MONOTONIC, &now)
            return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
        }

        private static func seconds(since start: ContinuousClock.Instant) -> Double {
            (start.duration(to: .now).asSeconds * 10).rounded() / 10
        }
    }
}
