import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// The metrics of the service, and whether programs that collect them understand them.
    @Suite("Metrics") struct MetricsTests {
        private func sluicectl(_ service: TestService, _ arguments: [String]) throws -> String {
            try Program.run(
                try Products.path("sluicectl"), arguments + ["--socket", service.socket]
            ).successful().output
        }

        /// The numbers, by name and labels as they are printed.
        private func numbers(_ service: TestService) throws -> [String: Double] {
            var numbers: [String: Double] = [:]
            for line in try sluicectl(service, ["metrics"]).split(separator: "\n") where !line.hasPrefix("#")
            {
                let parts = line.split(separator: " ")
                #expect(parts.count == 2, "\(line)")
                numbers[String(parts[0])] = parts.last.flatMap { Double($0) }
            }
            return numbers
        }

        @Test("the metrics follow jobs, bytes, refusals and dead lanes, and no counter ever falls")
        func metricsFollowEvents() throws {
            let nginx = try Nginx()
            let url = nginx.httpURL(try nginx.serve("body", Pattern(), count: 5_000_000))
            let service = try TestService(
                "limits.jobs = 2\nlimits.jobs_per_user = 2\nparking.after_seconds = 0.2\n")
            var before = try numbers(service)
            #expect(before["sluice_build_info{version=\"\(SluiceVersion.current)\"}"] == 1)
            #expect(before["sluice_jobs_accepted_total"] == 0)
            #expect(before["sluice_jobs_limit"] == 2)
            for code in OutcomeCode.allCases {
                #expect(before["sluice_jobs_ended_total{outcome=\"\(code.rawValue)\"}"] == 0)
            }

            try service.fetch(url).finishComplete(5_000_000)
            var now = try numbers(service)
            #expect(now["sluice_jobs_accepted_total"] == 1)
            #expect(now["sluice_jobs_ended_total{outcome=\"complete\"}"] == 1)
            #expect(now["sluice_received_bytes_total"] == 5_000_000)
            #expect(now["sluice_delivered_bytes_total"] == 5_000_000)
            #expect(now["sluice_queue_wait_seconds_count"] == 1)
            #expect(now["sluice_time_to_first_byte_seconds_count"] == 1)
            #expect(now["sluice_attempts_total"] == 1)

            // Two jobs whose consumers do not read, and a third one that is refused.
            let first = try service.open(url)
            let second = try service.open(url)
            defer { for body in [first.body, second.body] { close(body) } }
            for job in [first.id, second.id] {
                try eventually("\(job) is parked") { try service.show(job).state == .parked }
            }
            #expect(throws: (any Error).self) { try service.open(url) }
            now = try numbers(service)
            #expect(now["sluice_jobs{state=\"parked\"}"] == 2)
            #expect(now["sluice_jobs_parked_total"] == 2)
            #expect(now["sluice_clients_refused_total{reason=\"tooManyJobs\"}"] == 1)
            #expect((now["sluice_gate_closures_total"] ?? 0) >= 2)
            // Twice 0.2 s; but parking counts from the moment the pipe is full, and the gate closes somewhat later.
            #expect((now["sluice_stalled_seconds_total"] ?? 0) >= 0.3)
            #expect((now["sluice_pipe_bytes"] ?? 0) > 0)
            // The bytes that waited in the lanes were dropped, but count as received.
            let received = now["sluice_received_bytes_total"] ?? 0
            #expect(received > 5_000_000 + 2 * 1_000_000, "\(received)")

            let died = now["sluice_lanes_died_total"] ?? -1
            let idle = try #require(try Processes.lanes(of: service.processID).first)
            kill(idle, SIGKILL)
            try eventually("the death is counted") {
                now = try numbers(service)
                return now["sluice_lanes_died_total"] == died + 1
            }
            #expect((now["sluice_lanes_started_total"] ?? 0) >= 3)

            // No number that only grows has fallen, whatever happened to the jobs.
            for id in [first.id, second.id] { _ = try service.cancel(id) }
            before = now
            now = try numbers(service)
            #expect(now["sluice_jobs_ended_total{outcome=\"cancelled\"}"] == 2)
            for (name, value) in before where name.contains("_total") || name.contains("_seconds_") {
                #expect((now[name] ?? -1) >= value, "\(name)")
            }
        }

        @Test("any user may call Metrics, and the reply names no job, URL or host")
        func anyUserMayReadAnonymousMetrics() throws {
            let service = try TestService()
            let job = try service.open("http://127.0.0.1:1/secret")
            close(job.body)
            let reply = try OtherUser(TestService.nobody, service).call(
                "Metrics", as: Ingest.MetricsReply.self)
            #expect(reply.metrics.contains { $0.name == "sluice_jobs_accepted" && $0.samples[0].value == 1 })
            let text = "\(reply)"
            #expect(!text.contains("secret") && !text.contains(job.id) && !text.contains("127.0.0.1"))
        }

        @Test("promtool reports no problem with the Prometheus format")
        func promtoolAcceptsPrometheusFormat() throws {
            let service = try TestService()
            let directory = try TemporaryDirectory()
            let file = directory.file("sluice.prom")
            #expect(try sluicectl(service, ["metrics", "--format", "prometheus", "-o", file]).isEmpty)
            let check = try Program.run("/bin/sh", ["-c", "exec promtool check metrics < '\(file)'"])
            #expect(check.exit == .exited(0) && check.errors.isEmpty && check.output.isEmpty, "\(check)")
        }

        @Test("promtool and the reference parser read the OpenMetrics format completely")
        func parsersAcceptOpenMetricsFormat() throws {
            let service = try TestService()
            let directory = try TemporaryDirectory()
            let text = try sluicectl(service, ["metrics"])
            let file = try directory.write(text, to: "metrics")
            let parse =
                "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; "
                + "print(len(list(parse(open(sys.argv[1]).read()))))"
            let families = try Program.run("/usr/bin/python3", ["-c", parse, file]).successful().output
            let declared = text.split(separator: "\n").count { $0.hasPrefix("# TYPE") }
            #expect(families == "\(declared)\n")
            // promtool imports only samples with a time.
            let timed = try directory.write(
                text.split(separator: "\n").map { $0.hasPrefix("#") ? "\($0)\n" : "\($0) 1700000000\n" }
                    .joined(), to: "timed")
            let series = text.split(separator: "\n").count { !$0.hasPrefix("#") }
            let imported = try Program.run(
                "/usr/bin/promtool",
                ["tsdb", "create-blocks-from", "openmetrics", timed, directory.file("blocks")]
            ).successful()
            #expect(imported.output.contains(" \(series) "), "\(imported)")
        }

        @Test("sluicectl metrics -o keeps the old file when the service is gone")
        func failedExportKeepsOldFile() throws {
            let service = try TestService()
            let directory = try TemporaryDirectory()
            let file = try directory.write("old", to: "sluice.prom")
            service.stop()
            let result = try Program.run(
                try Products.path("sluicectl"), ["metrics", "-o", file, "--socket", service.socket])
            #expect(result.exit == .exited(3))
            #expect(try readText(file) == "old")
        }
    }
}
