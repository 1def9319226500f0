internal import SluiceCore
internal import SluiceInterface
internal import Systemd
internal import Unix

/// The metrics that the method `Metrics` returns, each with its name, kind and help text, in one place.
struct MetricsReport {
    private(set) var metrics: [Ingest.Metric] = []

    /// Collects the numbers as of now. Costs two system calls for each job that runs.
    ///
    /// - Parameters:
    ///   - status: the reply to `Status` at the same moment.
    ///   - connectionsLimit: the limit in force, which is lower than that of the settings if there are too few
    ///     descriptors.
    ///   - byName: include numbers by user and by host.
    init(
        _ status: Ingest.StatusReply, scheduler: Scheduler, settings: Settings, connectionsLimit: Int,
        log: ServiceLog, byName: Bool
    ) {
        let metrics = scheduler.metrics
        addService(status, metrics, log)
        addJobs(status.jobs, scheduler, settings)
        addBodies(scheduler.numbers)
        addLanes(status.lanes, scheduler.pool)
        addClients(status, metrics, connectionsLimit)
        addPipes(status, scheduler.pipes.kept.all)
        histogram(
            "sluice_queue_wait_seconds", metrics.queueWait,
            "How long jobs waited for a lane, each time that they did.")
        histogram(
            "sluice_time_to_first_byte_seconds", metrics.firstByte,
            "From an order in a lane's hands to the head of a response that was taken, for each attempt.")
        histogram(
            "sluice_loop_turn_seconds", metrics.loopTurn,
            "How long the service took for what it had at hand at one time: so long others waited for it.")
        if byName {
            let jobs = scheduler.jobs.allActive
            addTally("user", metrics.users, jobs.map { "\($0.owner.userID)" })
            addTally("host", metrics.hosts, jobs.map(\.request.url.origin.host))
        }
    }

    /// - Parameter active: the name of each job that has not ended.
    private mutating func addTally(_ label: String, _ tally: NameTally, _ active: [String]) {
        // A name without ended jobs gets a sample of its own while there are fewer than `maximumNames`.
        var counts: [String: Int] = [:]
        for name in active {
            let isNamed = tally.knows(name) || counts[name] != nil || counts.count < NameTally.maximumNames
            counts[isNamed ? name : NameTally.other, default: 0] += 1
        }
        if !counts.isEmpty {
            add(
                "sluice_\(label)_jobs", .gauge, "Jobs that have not ended, by \(label).",
                counts.sorted { $0.key < $1.key }.map {
                    Ingest.MetricSample(Double($0.value), labels: [label: $0.key])
                })
        }
        // OpenMetrics has no families without samples.
        guard !tally.rows.isEmpty else { return }
        add(
            "sluice_\(label)_jobs_ended", .counter,
            "Jobs that have ended, by \(label) and state.",
            tally.rows.flatMap { name, numbers in
                [
                    (JobState.complete, numbers.complete), (.failed, numbers.failed),
                    (.cancelled, numbers.cancelled),
                ].map { Ingest.MetricSample(Double($1), labels: [label: name, "state": $0.rawValue]) }
            })
        add(
            "sluice_\(label)_delivered_bytes", .counter, unit: "bytes",
            "Bytes of bodies that reached consumers' pipes, of jobs that have ended, by \(label).",
            tally.rows.map { Ingest.MetricSample(Double($0.numbers.delivered), labels: [label: $0.name]) })
    }

    private mutating func addService(
        _ status: Ingest.StatusReply, _ metrics: ServiceMetrics, _ log: ServiceLog
    ) {
        add(
            "sluice_build", .info, "Version of the running service.",
            [Ingest.MetricSample(1, labels: ["version": status.version])])
        gauge(
            "sluice_process_start_time_seconds", unit: "seconds", Double(status.startedUsec) / 1e6,
            "Start time of the service's process, in seconds since 1970. It changes with each restart.")
        gauge(
            "sluice_settings_last_reload_successful", metrics.areSettingsGood ? 1 : 0,
            "1 if the last reload of the settings succeeded, 0 if they were rejected and older ones are in force."
        )
        add(
            "sluice_log_messages_dropped", .counter,
            "Messages that were not logged: more than a client may cause (limit), or no room at journald (journal, and record "
                + "for those of them that were records of accepted and ended jobs).",
            [
                Ingest.MetricSample(Double(log.dropped), labels: ["reason": "limit"]),
                Ingest.MetricSample(
                    Double(JournalLogHandler.droppedEntries - JournalLogHandler.droppedRecords),
                    labels: ["reason": "journal"]),
                Ingest.MetricSample(
                    Double(JournalLogHandler.droppedRecords), labels: ["reason": "record"]),
            ])
    }

    private mutating func addJobs(
        _ counts: Ingest.JobCounts, _ scheduler: Scheduler, _ settings: Settings
    ) {
        let metrics = scheduler.metrics
        let states: [(JobState, Int)] = [
            (.queued, counts.queued), (.connecting, counts.connecting), (.streaming, counts.streaming),
            (.stalled, counts.stalled), (.parked, counts.parked), (.waiting, counts.waiting),
        ]
        add(
            "sluice_jobs", .gauge, "Jobs that have not ended.",
            states.map { Ingest.MetricSample(Double($1), labels: ["state": $0.rawValue]) })
        gauge("sluice_jobs_limit", Double(settings.limits.jobs), "Maximum number of jobs (limits.jobs).")
        gauge(
            "sluice_jobs_stored", Double(scheduler.store.count),
            "Jobs that the service manager keeps for a restart.")
        counter("sluice_jobs_accepted", metrics.accepted, "Jobs that clients asked for and got.")
        counter("sluice_jobs_restored", metrics.restored, "Jobs of an earlier process of the service.")
        counter("sluice_jobs_parked", metrics.parked, "Number of times that jobs were parked.")
        add(
            "sluice_jobs_ended", .counter, "Jobs that have ended, by outcome.",
            OutcomeCode.allCases.map {
                Ingest.MetricSample(Double(metrics.count(of: $0)), labels: ["outcome": $0.rawValue])
            })
        counter("sluice_attempts", metrics.attempts, "Attempts, including first ones.")
        counter(
            "sluice_retries", counts.retried,
            "Attempts after a job's first, including those of parked jobs that go on.")
    }

    private mutating func addBodies(_ numbers: JobAccount.Numbers) {
        counter(
            "sluice_received_bytes", unit: "bytes", numbers.received, "Bytes of bodies that origins sent.")
        counter(
            "sluice_delivered_bytes", unit: "bytes", numbers.delivered,
            "Bytes of bodies that reached consumers' pipes.")
        counter(
            "sluice_gate_closures", numbers.gateClosures,
            "Number of times that the gate closed because a consumer did not read.")
        add(
            "sluice_stalled_seconds", .counter, unit: "seconds",
            "Total time during which the gate was closed because consumers did not read.",
            [Ingest.MetricSample(Double(numbers.stalledUsec) / 1e6)])
    }

    private mutating func addLanes(_ counts: Ingest.LaneCounts, _ pool: LanePool) {
        let states = [("busy", counts.busy), ("idle", counts.idle), ("starting", counts.starting)]
        add(
            "sluice_lanes", .gauge, "Lanes, the processes that fetch.",
            states.map { Ingest.MetricSample(Double($1), labels: ["state": $0]) })
        gauge("sluice_lanes_limit", Double(counts.limit), "Maximum number of lanes (lanes.maximum).")
        gauge(
            "sluice_lane_memory_bytes", unit: "bytes",
            Double(pool.memory),
            "Anonymous memory of all lanes. What lanes share counts in each of them.")
        counter("sluice_lanes_started", pool.starts, "Lanes that were started.")
        counter("sluice_lanes_died", counts.died, "Lanes that ended without being asked to.")
        counter(
            "sluice_lane_start_failures", pool.failures,
            "Lanes that did not start, or died before they were ready.")
    }

    private mutating func addClients(
        _ status: Ingest.StatusReply, _ metrics: ServiceMetrics, _ connectionsLimit: Int
    ) {
        gauge("sluice_connections", Double(status.connections), "Clients' connections.")
        gauge(
            "sluice_connections_limit", Double(connectionsLimit),
            "Maximum number of connections (limits.connections, or fewer if LimitNOFILE= is too low).")
        add(
            "sluice_clients_refused", .counter, "Requests and connections that were refused, by reason.",
            Refusal.allCases.map {
                Ingest.MetricSample(Double(metrics.count(of: $0)), labels: ["reason": $0.rawValue])
            })
    }

    private mutating func addPipes(_ status: Ingest.StatusReply, _ kept: KeptPipes.Sum) {
        gauge(
            "sluice_pipe_bytes", unit: "bytes", Double(status.pipeBytes),
            "Buffers of the jobs' pipes, with those of ended jobs that consumers still hold.")
        gauge(
            "sluice_kept_pipes", Double(kept.pipes), "Pipes of ended jobs that consumers still hold.")
        gauge(
            "sluice_kept_pipe_bytes", unit: "bytes", Double(kept.bytes), "Buffers of these.")
        gauge(
            "sluice_pipe_budget_bytes", unit: "bytes", Double(status.pipeBudget),
            "Size of all buffers above which new pipes stay small (pipes.budget).")
    }

    // MARK: Inside

    private mutating func counter(_ name: String, unit: String? = nil, _ value: Int, _ help: String) {
        add(name, .counter, unit: unit, help, [Ingest.MetricSample(Double(value))])
    }

    private mutating func gauge(_ name: String, unit: String? = nil, _ value: Double, _ help: String) {
        add(name, .gauge, unit: unit, help, [Ingest.MetricSample(value)])
    }

    private mutating func histogram(_ name: String, _ histogram: Histogram, _ help: String) {
        let buckets = histogram.cumulative.map { Ingest.MetricBucket(upperBound: $0.bound, count: $0.count) }
        add(
            name, .histogram, unit: "seconds", help,
            [
                Ingest.MetricSample(
                    Ingest.MetricHistogram(count: histogram.count, sum: histogram.sum, buckets: buckets))
            ])
    }

    private mutating func add(
        _ name: String, _ kind: Ingest.MetricKind, unit: String? = nil, _ help: String,
        _ samples: [Ingest.MetricSample]
    ) {
        metrics.append(Ingest.Metric(name, kind, unit: unit, help: help, samples: samples))
    }
}
