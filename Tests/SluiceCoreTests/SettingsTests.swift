import LaneProtocol
import SluiceCore
import SluiceInterface
import Testing

@Suite("Settings")
struct SettingsTests {
    @Test("the default settings have no problem")
    func defaultsAreValid() {
        #expect(Settings().problems().isEmpty)
    }

    @Test("each value out of range is named")
    func namesValuesOutOfRange() {
        func named(_ parameter: String, _ change: (inout Settings) -> Void) {
            var settings = Settings()
            change(&settings)
            let names = settings.problems().map(\.parameter)
            #expect(names.contains(parameter), "\(parameter): \(names)")
        }
        named("lanes.maximum") { $0.lanes.maximum = 1025 }
        named("lanes.minimum") { $0.lanes.minimum = 97 }
        named("lanes.idle_seconds") { $0.lanes.idleSeconds = -1 }
        named("lanes.end_seconds") { $0.lanes.endSeconds = 0 }
        named("gate.high_watermark") { $0.gate.highWatermark = (64 << 20) + 1 }
        named("gate.low_watermark") { $0.gate.lowWatermark = 1 << 20 }
        named("gate.maximum_high_watermark") { $0.gate.maximumHighWatermark = 1 }
        named("gate.stalled_after_seconds") { $0.gate.stalledAfterSeconds = .infinity }
        named("timeouts.connect_seconds") { $0.timeouts.connect = 0 }
        for seconds in [0, 31_536_001, .nan] { named("timeouts.head_seconds") { $0.timeouts.head = seconds } }
        named("timeouts.silence_seconds") { $0.timeouts.silence = .nan }
        for speed in [0, -1, 1 << 40 + 1, .max] {
            named("timeouts.minimum_speed") { $0.timeouts.minimumSpeed = speed }
        }
        for seconds in [0, 0.999, 3601, .nan] {
            named("lanes.hang_seconds") { $0.lanes.hangSeconds = seconds }
        }
        for statuses in [[399], [600], [503, 200], [.min, .max]] as [Set<Int>] {
            named("retries.statuses") { $0.retries.statuses = statuses }
        }
        for limit in [-1, 21] { named("redirects.limit") { $0.redirects.limit = limit } }
        let longest = String(repeating: "x", count: Settings.Redirects.maximumFieldLength)
        for names in [[""], ["x", "x y"], ["x:"], ["é"], ["x\r"], [longest + "x"]] {
            named("redirects.credential_fields") { $0.redirects.credentialFields = names }
        }
        named("redirects.credential_fields") {
            $0.redirects.credentialFields = Array(
                repeating: longest, count: Settings.Redirects.maximumFields + 1)
        }
        named("timeouts.deadline_seconds") { $0.timeouts.deadline = 1e9 }
        for number in [-1, 1001, .max] { named("retries.retries") { $0.retries.retries = number } }
        for seconds in [-0.001, 3600.1, .nan, .infinity, -.infinity] {
            named("retries.base_seconds") { $0.retries.pauses.base = seconds }
            named("restart.store_after_seconds") { $0.restart.storeAfterSeconds = seconds }
        }
        for seconds in [-0.001, 86_400.1, .nan, .infinity] {
            named("retries.longest_seconds") { $0.retries.pauses.longest = seconds }
            named("retries.longest_retry_after_seconds") { $0.retries.pauses.longestRetryAfter = seconds }
            named("parking.after_seconds") { $0.parking.afterSeconds = seconds }
            named("restart.drain_seconds") { $0.restart.drainSeconds = seconds }
        }
        named("parking.after_seconds") { $0.parking.afterSeconds = 0 }
        for share in [-0.01, 1.01, .nan] {
            named("parking.holding_share") { $0.parking.holdingShare = share }
        }
        for number in [0, 6001, -1] { named("limits.jobs") { $0.limits.jobs = number } }
        named("limits.jobs_per_user") { $0.limits.jobsPerUser = 2001 }
        named("limits.remembered_jobs_per_user") { $0.limits.rememberedJobsPerUser = -1 }
        named("limits.connections") { $0.limits.connections = 0 }
        named("limits.connections_per_user") { $0.limits.connectionsPerUser = 8193 }
        named("limits.maximum_size") { $0.limits.maximumSize = 0 }
        named("pipes.grown_capacity") { $0.pipes.grownCapacity = 3 << 16 }
        named("pipes.budget") { $0.pipes.budget = 1 }
        named("log.level") { $0.logLevel = "loud" }
    }

    @Test("both ends of each range are valid")
    func endsOfRangesAreValid() {
        var least = Settings()
        least.retries.retries = 0
        least.retries.pauses.base = 0
        least.retries.pauses.longest = 0
        least.retries.pauses.longestRetryAfter = 0
        least.parking.afterSeconds = 0.05
        least.parking.holdingShare = 0
        least.restart.storeAfterSeconds = 0
        least.restart.drainSeconds = 0
        least.limits.jobs = 1
        least.limits.jobsPerUser = 1
        least.timeouts.head = 0.001
        least.timeouts.minimumSpeed = 1
        least.lanes.hangSeconds = 1
        least.retries.statuses = []
        least.redirects.limit = 0
        #expect(least.problems().isEmpty, "\(least.problems())")
        var most = Settings()
        most.retries.retries = 1000
        most.retries.pauses.base = 3600
        most.retries.pauses.longest = 86_400
        most.retries.pauses.longestRetryAfter = 86_400
        most.parking.afterSeconds = 86_400
        most.parking.holdingShare = 1
        most.restart.storeAfterSeconds = 3600
        most.restart.drainSeconds = 86_400
        most.limits.jobs = 6000
        most.limits.jobsPerUser = 6000
        most.timeouts.head = 31_536_000
        most.timeouts.minimumSpeed = 1 << 40
        most.lanes.hangSeconds = 3600
        most.retries.statuses = Set(400...599)
        most.redirects.limit = 20
        most.redirects.credentialFields = Array(
            repeating: String(repeating: "x", count: Settings.Redirects.maximumFieldLength),
            count: Settings.Redirects.maximumFields)
        #expect(most.problems().isEmpty, "\(most.problems())")
    }

    @Test("absurd values are reported as problems and do not trap")
    func reportsAbsurdValues() {
        var settings = Settings()
        settings.lanes.maximum = .min
        settings.gate.highWatermark = .min
        settings.gate.maximumHighWatermark = .min
        settings.limits.jobs = .min
        settings.limits.connections = .min
        settings.pipes.grownCapacity = .min
        #expect(settings.problems().count >= 6)
    }

    @Test("credential fields are recognised in upper and lower case, and no other fields are")
    func recognisesCredentialFields() throws {
        var redirects = Settings.Redirects()
        redirects.credentialFields = ["x-api-key"]
        let request = try JobRequest(Ingest.FetchParameters(url: "http://h/"), settings: Settings())
        let policy = LaneOrder(serial: 1, request: request, redirects: redirects).redirects
        #expect(policy.limit == 20 && !policy.allowsDowngrade)
        let rules = CredentialRules(others: policy.credentialFields)
        for name in ["Authorization", "cookie", "Proxy-Authorization", "X-API-Key"] {
            #expect(rules.isCredential(name), "\(name)")
        }
        for name in ["User-Agent", "Accept", "X-Api-Key2", "Cookie2", ""] {
            #expect(!rules.isCredential(name), "\(name)")
        }
    }

    @Test("exactly the changed settings that need a restart are reported")
    func namesSettingsNeedingRestart() {
        var new = Settings()
        new.socket = "/x"
        new.logLevel = "debug"
        new.limits.connections = 100
        new.limits.connectionsPerUser = 10
        new.lanes.maximum = 3
        #expect(
            Set(Settings().needingRestart(comparedTo: new)) == [
                "service.socket", "log.level", "limits.connections", "limits.connections_per_user",
            ])
        #expect(Settings().needingRestart(comparedTo: Settings()).isEmpty)
    }

    @Test("the pipe budget grants growth only while ordinary pipes still fit")
    func pipeBudgetLimitsGrowth() {
        var budget = PipeBudget(limit: 1000, reserve: 200)
        budget.add(500)
        #expect(budget.grow(by: 300) == true)
        #expect(budget.grow(by: 1) == false)
        #expect(budget.used == 800)
        budget.remove(300)
        #expect(budget.grow(by: 300) == true)
        budget.add(900)
        #expect(budget.used == 1700, "a pipe that exists is counted, whatever the limit")
        #expect(budget.grow(by: 1) == false)
        budget.limit = 3000
        #expect(budget.grow(by: 1100) == true)
    }
}
