import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

/// Whether a test can run the service as nobody: root can, if the user nobody can reach the programs.
enum Unprivileged {
    static let isAvailable: Bool = {
        guard geteuid() == 0, let path = try? Products.path("sluiced") else { return false }
        let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", path, "--version"]
        return (try? Program.run("/usr/bin/setpriv", arguments))?.exit == .exited(0)
    }()
}

extension Integration {
    @Suite("Isolation")
    struct Isolation {
        static let pattern = Pattern(seed: 11)

        /// The best of three, in bytes per second, since other programs share the machine.
        private func speed(_ service: TestService, _ url: String, size: Int) throws -> Double {
            try (0..<3).map { _ in
                let start = ContinuousClock.now
                try service.fetch(url, expecting: Self.pattern).finishComplete(size)
                return Double(size) / start.duration(to: .now).asSeconds
            }.max() ?? 0
        }

        @Test(
            "a 65th job runs at full speed beside 64 whose consumers never read",
            arguments: Unprivileged.isAvailable ? [true, false] : [false])
        func stalledJobsDoNotSlowOthers(unprivileged: Bool) throws {
            let nginx = try Nginx()
            let service = try TestService(
                // On a slow machine the measurement takes longer than the service waits for consumers before it parks
                // jobs.
                "gate.stalled_after_seconds = 0.2\nparking.after_seconds = 3600", unprivileged: unprivileged)
            let size = 256 << 20
            let path = try nginx.serve("file", Self.pattern, count: size)
            let first = try speed(service, nginx.httpURL(path), size: size)
            let others = try (0..<64).map { _ in
                try service.fetch(nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(0))
            }
            try eventually("64 jobs are stalled", every: .milliseconds(50)) {
                try service.status().jobs.stalled == 64
            }
            // Other programs share the machine. Where the speed is lower than at first, an idle service beside this
            // one shows what speed is possible now.
            var reference: Double? = first
            let (alone, beside) = try judge("the speed beside 64 stalled jobs", attempts: 4) {
                let beside = try speed(service, nginx.httpURL(path), size: size)
                if let alone = reference, beside >= 0.7 * alone { return (alone, beside) }
                reference = nil
                let other = try TestService(unprivileged: unprivileged)
                let alone = try speed(other, nginx.httpURL(path), size: size)
                return (alone, max(beside, try speed(service, nginx.httpURL(path), size: size)))
            } by: { alone, beside in
                beside >= 0.7 * alone
            }
            let status = try service.status()
            #expect(status.pipeBytes <= status.pipeBudget, "\(status)")
            #expect(status.jobs.stalled == 64, "\(status)")
            let ratio = beside / alone
            print(
                "figure: \(unprivileged ? "as nobody" : "as root"): alone \(Int(alone / 1e6)) MB/s, beside 64 "
                    + "stalled jobs \(Int(beside / 1e6)) MB/s, ratio \((ratio * 100).rounded() / 100)")
            // The bodies of the stalled jobs are intact: one of them is read to its end.
            others[0].reader.release()
            try others[0].finishComplete(size)
            for job in others.dropFirst() { job.reader.cancel() }
            try eventually("the jobs of the consumers that went have ended") {
                let jobs = try service.status().jobs
                return jobs.stalled + jobs.streaming + jobs.connecting + jobs.queued == 0
            }
            // The pipes of ended jobs count as long as their consumers have them.
            try eventually("their pipes are gone") { try service.status().pipeBytes == 0 }
        }

        @Test("pipes grow for consumers that keep up, and never past the budget")
        func pipesStayWithinBudget() throws {
            let nginx = try Nginx()
            // Room for the pipes of three jobs, and for one of them to grow.
            let service = try TestService("lanes.maximum = 4\npipes.budget = \"2M\"")
            let size = 32 << 20
            let path = try nginx.serve("file", Self.pattern, count: size)
            let jobs = try (0..<4).map { _ in
                try service.fetch(
                    nginx.httpURL(path), expecting: Self.pattern, pace: .stopAt(8 << 20))
            }
            for job in jobs { try job.reader.waitForCount(8 << 20) }
            let status = try service.status()
            #expect(status.pipeBudget == 2 << 20)
            #expect(status.pipeBytes <= status.pipeBudget)
            for job in jobs {
                job.reader.release()
                try job.finishComplete(size)
            }
            #expect(try service.status().pipeBytes == 0)
        }

        @Test(
            "a lane of one user never serves another user, and no job sends the cookies of an earlier one")
        func usersNeverShareLanes() throws {
            let seen = try Gate()
            let origin = try BadOrigin { connection in
                try connection.respond(
                    headers: ["Set-Cookie: who=\(connection.number); Path=/"], pattern: Self.pattern,
                    count: 100)
                seen.open()
            }
            let service = try TestService("lanes.maximum = 2\nlanes.minimum = 1")
            var lanes: [UInt32: Set<Int>] = [:]
            for round in 0..<4 {
                for user in [UInt32(2001), 2002] {
                    let job = try OtherUser(user, service).fetch(
                        origin.url("/\(round)"), expecting: Self.pattern)
                    let lane = try eventualLane(of: job, service)
                    lanes[user, default: []].insert(lane)
                    try job.reader.waitForEnd()
                }
            }
            #expect(lanes[2001]?.isDisjoint(with: lanes[2002] ?? []) == true, "\(lanes)")
            #expect(origin.requests.count == 8)
            #expect(origin.requests.allSatisfy { $0["Cookie"] == nil })
        }

        /// The lane of a job, from the log, since the job may have ended already.
        private func eventualLane(of job: TestJob, _ service: TestService) throws -> Int {
            _ = try service.wait(job.id)
            let line = service.log.split(separator: "\n").first { line in
                line.contains("job=\(job.id)") && line.contains("lane=")
            }
            guard let field = line?.split(separator: " ").first(where: { $0.hasPrefix("lane=") }),
                let lane = Int(field.dropFirst("lane=".count))
            else { throw TestFailure("the log does not name the lane of \(job.id): \(service.log)") }
            return lane
        }
    }
}
