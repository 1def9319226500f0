import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix
import Varlink

extension Integration {
    /// What the settings allow users and hosts: bytes per second, lanes, connections, access.
    @Suite("Shares")
    struct Shares {
        private static let pattern = Pattern(seed: 11)
        private static let users: (UInt32, UInt32) = (4101, 4102)

        /// An origin with endless bodies, and short ones at /short.
        private func origin() throws -> BadOrigin {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: \(1 << 40)", "ETag: \"v\""])
                connection.sendForever(Self.pattern)
            }
            origin.on("/short") { try $0.respond(pattern: Self.pattern, count: 10_000) }
            return origin
        }

        /// Waits until all have begun.
        private func begin(_ jobs: [TestJob]) throws {
            for job in jobs { try job.reader.waitForCount(1) }
        }

        /// The bytes per second that each job gets.
        private func speeds(_ jobs: [TestJob], over duration: Duration) -> [Double] {
            let start = ContinuousClock.now
            let before = jobs.map(\.reader.count)
            letPass(duration)
            let seconds = start.duration(to: .now) / .seconds(1)
            return zip(jobs, before).map { Double($0.reader.count - $1) / seconds }
        }

        private func reload(_ service: TestService, _ settings: String) throws {
            try service.directory.write(settings, to: "sluiced.toml")
            let before = service.log.count
            service.program.signal(SIGHUP)
            try eventually("the settings are read again") {
                service.log.dropFirst(before).contains("settings read again")
            }
        }

        // MARK: Rates

        @Test("a user's rate is exact to 5 % over ten seconds, for one job and for several")
        func userRateIsExact() throws {
            let origin = try origin()
            // All scenes run at the same time, each with a service of its own.
            let scenes = try [(64 << 10, 1), (4 << 20, 1), (4 << 20, 5)].map { rate, count in
                let service = try TestService("limits.rate_per_user = \(rate)")
                let jobs = try (0..<count).map { _ in
                    try service.fetch(origin.url(), expecting: Self.pattern)
                }
                return (rate: rate, jobs: jobs)
            }
            try begin(scenes.flatMap(\.jobs))
            try judge("speeds, as parts of the limits") {
                // The shares become stable, and buffers fill.
                letPass(.seconds(1))
                var speeds = speeds(scenes.flatMap(\.jobs), over: .seconds(10))[...]
                return scenes.map { scene in
                    defer { speeds = speeds.dropFirst(scene.jobs.count) }
                    return speeds.prefix(scene.jobs.count).reduce(0, +) / Double(scene.rate)
                }
            } by: { parts in
                for (scene, part) in zip(scenes, parts) {
                    print(
                        "figure: \(scene.jobs.count) jobs have \(part) of a limit of \(scene.rate) bytes a second"
                    )
                }
                return parts.allSatisfy { abs($0 - 1) < 0.05 }
            }
            for job in scenes.flatMap(\.jobs) { #expect(job.reader.report.firstMismatch == nil) }
        }

        @Test("small jobs respect the rate, too")
        func smallJobsRespectRate() throws {
            let origin = try origin()
            let rate = 200_000
            let service = try TestService("limits.rate_per_user = \(rate)")
            try judge("the speed of small jobs with a limit of \(rate)") {
                let start = ContinuousClock.now
                var bytes = 0
                while start.duration(to: .now) < .seconds(5) {
                    let jobs = try (0..<8).map { _ in
                        try service.fetch(origin.url("/short"), expecting: Self.pattern)
                    }
                    for job in jobs { try job.finishComplete(10_000) }
                    bytes += jobs.count * 10_000
                }
                return Double(bytes) / (start.duration(to: .now) / .seconds(1)) / Double(rate)
            } by: {
                print("figure: small jobs have \($0) of a limit of \(rate) bytes a second")
                // They may be slower: a client that waits for its jobs asks for nothing in that time.
                return $0 < 1.1 && $0 > 0.5
            }
        }

        @Test(
            "users share the service's rate by weight, not by number of jobs, and get what another user leaves"
        )
        func usersShareRateByWeight() throws {
            let origin = try origin()
            let rate = 8 << 20
            let service = try TestService(
                "limits.rate = \(rate)\n[users.\(Self.users.0)]\nweight = 3\n[users.\(Self.users.1)]\n")
            let (heavyUser, lightUser) = (OtherUser(Self.users.0, service), OtherUser(Self.users.1, service))
            let heavy = try (0..<2).map { _ in try heavyUser.fetch(origin.url(), expecting: Self.pattern) }
            let light = try (0..<3).map { _ in try lightUser.fetch(origin.url(), expecting: Self.pattern) }
            try begin(heavy + light)
            try judge("the users' shares of \(rate)") {
                letPass(.seconds(1))
                let speeds = speeds(heavy + light, over: .seconds(5))
                let all = speeds.reduce(0, +)
                return [speeds.prefix(2).reduce(0, +) / all, all / Double(rate)]
            } by: {
                print(
                    "figure: a user with weight 3 beside one with weight 1 has \($0[0]) of what both have, \($0[1]) of the limit"
                )
                return abs($0[0] - 0.75) < 0.075 && abs($0[1] - 1) < 0.05
            }
            for job in heavy { _ = try service.cancel(job.id) }
            try judge("what the other user gets then") {
                letPass(.seconds(1.5))
                return speeds(light, over: .seconds(3)).reduce(0, +) / Double(rate)
            } by: {
                abs($0 - 1) < 0.08
            }
        }

        @Test(
            "a job whose consumer does not read leaves its share to the others, and gets it back when the consumer reads"
        )
        func stalledJobLeavesItsShare() throws {
            let origin = try origin()
            let rate = 8 << 20
            let service = try TestService(
                "limits.rate_per_user = \(rate)\ngate.stalled_after_seconds = 0.2")
            let stopped = try service.fetch(
                origin.url(), expecting: Self.pattern, pace: .stopAt(1 << 20))
            let other = try service.fetch(origin.url(), expecting: Self.pattern)
            try begin([stopped, other])
            try stopped.waitFor(.stalled)
            try judge("what the other job gets") {
                letPass(.seconds(1.5))
                return speeds([other], over: .seconds(3))[0] / Double(rate)
            } by: {
                $0 > 0.9 && $0 < 1.08
            }
            stopped.reader.release()
            try judge("both jobs' speeds") {
                letPass(.seconds(1.5))
                return speeds([stopped, other], over: .seconds(3)).map { $0 / Double(rate) }
            } by: {
                abs($0[0] - 0.5) < 0.08 && abs($0[1] - 0.5) < 0.08
            }
        }

        @Test("a host's rate applies to all users together, and a reload changes it for running jobs")
        func hostRateCoversAllUsers() throws {
            let origin = try origin()
            let service = try TestService("[origins.\"127.0.0.1\"]\nrate = \"2M\"")
            let jobs = [
                try OtherUser(Self.users.0, service).fetch(origin.url(), expecting: Self.pattern),
                try OtherUser(Self.users.1, service).fetch(origin.url(), expecting: Self.pattern),
            ]
            try begin(jobs)
            func expect(_ rate: Int) throws {
                try judge("the speed of a host with a limit of \(rate)") {
                    letPass(.seconds(1.5))
                    return speeds(jobs, over: .seconds(3)).reduce(0, +) / Double(rate)
                } by: {
                    abs($0 - 1) < 0.08
                }
            }
            try expect(2 << 20)
            try reload(service, "[origins]\nrate = \"6M\"")
            try expect(6 << 20)
            try reload(service, "")
            try eventually("nothing is limited any more") {
                speeds(jobs, over: .seconds(1)).reduce(0, +) > 12 * 1024 * 1024
            }
        }

        @Test("an origin whose body is slowed down by a rate is not considered silent")
        func slowRateIsNotSilence() throws {
            let origin = try origin()
            let service = try TestService("limits.rate_per_user = \"1K\"\ntimeouts.silence_seconds = 0.5")
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            // The bytes of one second arrive at a time.
            try job.reader.waitForCount(4 * 1024)
            #expect(try job.now().state == .streaming)
        }

        // MARK: Lanes, jobs, sizes

        @Test("limits on one user's lanes, jobs and body sizes are enforced, and do not apply to other users")
        func enforcesLimitsOfOneUser() throws {
            let origin = try origin()
            let service = try TestService(
                "[users.\(Self.users.0)]\nlanes = 2\njobs = 5\nmaximum_size = 5000")
            let (first, second) = (OtherUser(Self.users.0, service), OtherUser(Self.users.1, service))
            try first.fetch(origin.url("/short"), expecting: Self.pattern).finish(failing: .tooLarge)
            try second.fetch(origin.url("/short"), expecting: Self.pattern).finishComplete(10_000)
            let gate = try Gate()
            origin.on("/held") { connection in try connection.wait(for: gate) }
            let jobs = try (0..<5).map { _ in
                try first.fetch(origin.url("/held"), expecting: Self.pattern)
            }
            #expect(
                throws: VarlinkClientError.error(
                    name: "io.sluice.Ingest.TooManyJobs", parameters: ["limit": 5])
            ) { _ = try first.open(origin.url()) }
            try eventually("the user has all lanes that it may have, and no more") {
                let status = try service.status()
                return status.lanes.busy == 2 && status.jobs.queued == 3
            }
            for job in jobs { _ = try service.cancel(job.id) }
            gate.open()
        }

        @Test("a host gets no more connections than its limit, and jobs for other hosts do not wait for it")
        func limitsConnectionsToHost() throws {
            let gate = try Gate()
            let count = Monitor((now: 0, most: 0))
            let busy = try BadOrigin { connection in
                count.update { count in
                    count.now += 1
                    count.most = max(count.most, count.now)
                }
                try connection.wait(for: gate)
                // The number falls before the lane can ask for the next one.
                count.update { $0.now -= 1 }
                try connection.respond(pattern: Self.pattern, count: 10_000)
            }
            let free = try origin()
            let service = try TestService("[origins.localhost]\nconnections = 2")
            let url = busy.url().replacing("127.0.0.1", with: "localhost")
            let jobs = try (0..<6).map { _ in try service.fetch(url, expecting: Self.pattern) }
            try busy.waitForRequests(2)
            try service.fetch(free.url("/short"), expecting: Self.pattern).finishComplete(10_000)
            #expect(try service.status().jobs.queued == 4)
            gate.open()
            for job in jobs { try job.finishComplete(10_000) }
            #expect(count.read { $0.most } == 2)
        }

        @Test(
            "a third user's single job is among the next to start, behind two users with a thousand jobs each"
        )
        func usersTakeTurns() throws {
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            limit.rlim_cur = limit.rlim_max
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            let first = try Gate()
            let rest = try Gate()
            let count = Monitor(0)
            let origin = try BadOrigin { connection in
                if connection.request.path != "/single" {
                    let number = count.update { count in
                        count += 1
                        return count
                    }
                    // A lane of another user can begin one more job while a lane starts for the third user, and no more.
                    try connection.wait(for: number <= 2 ? first : rest)
                }
                try connection.respond(pattern: Self.pattern, count: 100)
            }
            let service = try TestService("lanes.minimum = 2\nlanes.maximum = 2\nlimits.jobs = 3000")
            // The bodies are small enough for their pipes: no consumer has to read them.
            var bodies: [Body] = []
            for user in [Self.users.0, Self.users.1].map({ OtherUser($0, service) }) {
                bodies += try (0..<1000).map { _ in Body(try user.open(origin.url())) }
            }
            try origin.waitForRequests(2)
            // This user is not root, which has a lane of its own.
            let single = try OtherUser(4103, service).fetch(
                origin.url("/single"), expecting: Self.pattern)
            first.open()
            let done = try single.finishComplete(100)
            let start = try #require(done.startedUsec)
            let before = try bodies.count { body in
                guard let other = try service.show(body.id).startedUsec else { return false }
                return other > done.createdUsec && other < start
            }
            print("figure: a single job began after \(before) of 2,000 jobs that had come before it")
            #expect(before <= 1, "\(before) others began between its coming and its start")
            rest.open()
            for body in bodies { _ = try service.cancel(body.id) }
        }

        /// A pipe that no consumer reads.
        private final class Body {
            let id: String
            private let descriptor: OwnedDescriptor

            init(_ opened: (id: String, body: CInt)) {
                id = opened.id
                descriptor = OwnedDescriptor(adopting: opened.body)
            }
        }

        // MARK: Access

        @Test(
            "a user without access gets NotAllowed, and a reload that denies access ends jobs and connections"
        )
        func refusesUsersWithoutAccess() throws {
            let origin = try origin()
            let service = try TestService()
            let (first, second) = (OtherUser(Self.users.0, service), OtherUser(Self.users.1, service))
            let job = try first.fetch(origin.url(), expecting: Self.pattern)
            let other = try second.fetch(origin.url(), expecting: Self.pattern)
            try begin([job, other])
            let idle = try first.client()
            _ = try idle.call(
                "\(Ingest.interfaceName).Status", as: Ingest.StatusReply.self, deadline: Deadline.ofCall)
            try reload(service, "[users.\(Self.users.0)]\naccess = \"deny\"")
            let ended = try job.finish(failing: .cancelled)
            #expect(ended.outcome?.message.contains("do not allow user \(Self.users.0)") == true)
            let error = VarlinkClientError.error(
                name: "io.sluice.Ingest.NotAllowed", parameters: ["userID": .integer(Int64(Self.users.0))])
            #expect(throws: error) { _ = try idle.next(deadline: Deadline.ofCall) }
            #expect(throws: VarlinkClientError.disconnected) { _ = try idle.next(deadline: Deadline.ofCall) }
            #expect(throws: error) { _ = try first.call("Status", as: Ingest.StatusReply.self) }
            #expect(try other.now().state == .streaming)
            #expect(try refusals(service, "notAllowed") > 0)
            try reload(
                service, "service.access = \"deny\"\n[users.\(Self.users.0)]\naccess = \"allow\"")
            _ = try other.finish(failing: .cancelled)
            _ = try first.call("Status", as: Ingest.StatusReply.self)
        }

        private func refusals(_ service: TestService, _ reason: String) throws -> Double {
            let metrics = try service.call("Metrics", as: Ingest.MetricsReply.self).metrics
            let family = metrics.first { $0.name == "sluice_clients_refused" }
            return family?.samples.first { $0.labels["reason"] == reason }?.value ?? 0
        }

        // MARK: Draining

        @Test("a draining service finishes its jobs, refuses new ones, and reports its progress")
        func drainingServiceFinishesItsJobs() throws {
            let gate = try Gate()
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 1000"])
                try connection.wait(for: gate)
                try connection.send(Self.pattern, 0..<1000)
            }
            let service = try TestService()
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            try job.waitFor(.streaming)
            let root = try service.client()
            try root.send("\(Ingest.interfaceName).Drain", mode: .more, deadline: Deadline.ofCall)
            #expect(
                try root.next(deadline: Deadline.ofCall).decode(as: Ingest.DrainReply.self).jobs == 1)
            #expect(throws: VarlinkClientError.error(name: "io.sluice.Ingest.Draining", parameters: [:])) {
                _ = try service.open(origin.url())
            }
            #expect(try service.status().status.hasPrefix("draining: 1 streaming"))
            #expect(
                throws: VarlinkClientError.error(
                    name: "org.varlink.service.PermissionDenied", parameters: [:])
            ) { _ = try OtherUser(Self.users.0, service).call("Undrain", as: NoParameters.self) }
            gate.open()
            try job.finishComplete(1000)
            let last = try root.next(deadline: Deadline.ofCall)
            let goesOn = last.continues
            #expect(try !goesOn && last.decode(as: Ingest.DrainReply.self).jobs == 0)
            #expect(try service.status().status.hasPrefix("drained"))
            _ = try service.call("Undrain", as: NoParameters.self)
            try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(1000)
        }
    }
}
