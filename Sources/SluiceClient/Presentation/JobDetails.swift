internal import Glibc
public import SluiceInterface

/// A complete description of a job, or of the service, for users: a line for each fact.
public enum JobDetails {
    /// Everything that is known about a job.
    public static func render(_ job: Job, nowUsec: Int) -> String {
        var lines = Lines()
        lines.add("Job", job.id)
        lines.add("URL", job.url)
        lines.add("State", job.state.rawValue)
        if let outcome = job.outcome {
            lines.add("Outcome", "\(outcome.code.rawValue): \(outcome.message)")
            if let remedy = outcome.remedy { lines.add("Remedy", remedy) }
        }
        lines.add("HTTP status", job.httpStatus.map { "\($0)" } ?? "none yet")
        lines.add("Size", job.contentLength.map(bytes) ?? "not announced")
        if let coding = job.contentEncoding { lines.add("Encoding", "\(coding), as the server sent it") }
        if let etag = job.etag { lines.add("Entity-tag", etag) }
        if let digest = job.digest { lines.add("Digest", digest) }
        lines.add("Received", bytes(job.bytesReceived))
        lines.add("Delivered", bytes(job.bytesDelivered) + percent(job))
        lines.add("Buffered", bytes(job.bytesBuffered))
        if let rate = JobTimes.rate(of: job, nowUsec: nowUsec) { lines.add("Rate", "\(rate) on average") }
        lines.add("Gate", gate(job, nowUsec))
        lines.add("Watermarks", "high \(bytes(job.highWatermark)), low \(bytes(job.lowWatermark))")
        JobAttempts.describe(job, nowUsec: nowUsec) { lines.add($0, $1) }
        lines.add("Created", moment(job.createdUsec))
        if let started = job.startedUsec { lines.add("Started", moment(started)) }
        if let finished = job.finishedUsec { lines.add("Finished", moment(finished)) }
        if let seconds = JobTimes.running(job, nowUsec: nowUsec) {
            lines.add("Running time", Elapsed.brief(seconds))
        }
        lines.add("Owner", "user \(job.userID), process \(job.processID)")
        if let lane = job.laneProcessID { lines.add("Lane", "process \(lane)") }
        return lines.text
    }

    /// Everything that the service says about itself.
    public static func render(_ status: Ingest.StatusReply, socket: String, nowUsec: Int) -> String {
        var lines = Lines()
        lines.add("Service", "sluiced \(status.version), process \(status.processID)")
        lines.add("Socket", socket)
        let up = Elapsed.brief(JobTimes.seconds(from: status.startedUsec, to: nowUsec))
        lines.add("Running since", "\(moment(status.startedUsec)) (\(up))")
        lines.add("Status", status.status)
        let jobs = status.jobs
        lines.add(
            "Jobs",
            "\(jobs.streaming) streaming, \(jobs.stalled) stalled, \(jobs.parked) parked, "
                + "\(jobs.connecting) connecting, \(jobs.waiting) waiting for an attempt, "
                + "\(jobs.queued) queued")
        lines.add(
            "Ended jobs", "\(jobs.complete) complete, \(jobs.failed) failed, \(jobs.cancelled) cancelled")
        lines.add("Retried", "\(jobs.retried) attempts beyond a job's first")
        let lanes = status.lanes
        lines.add(
            "Lanes",
            "\(lanes.busy) busy, \(lanes.idle) idle, \(lanes.starting) starting, \(lanes.died) died; "
                + "at most \(lanes.limit)")
        lines.add("Delivered", bytes(status.bytesDelivered))
        lines.add("Pipe buffers", "\(bytes(status.pipeBytes)) of \(bytes(status.pipeBudget))")
        lines.add("Connections", "\(status.connections)")
        return lines.text
    }

    /// One line about a job at this moment, for a log that grows.
    public static func line(_ job: Job, nowUsec: Int) -> String {
        var text = "\(job.id)  \(JobTable.word(for: job))  \(ByteSize.describe(job.bytesDelivered))"
        if let size = job.contentLength { text += " of \(ByteSize.describe(size))\(percent(job))" }
        if let coding = job.contentEncoding { text += "  \(coding)" }
        if let rate = JobTimes.rate(of: job, nowUsec: nowUsec) { text += "  \(rate)" }
        if job.stalledUsec > 0 {
            text += "  gate closed \(Elapsed.brief(Double(job.stalledUsec) / 1e6))"
        }
        switch job.state {
        case .waiting: text += "  \(JobAttempts.next(job, nowUsec: nowUsec))"
        case .parked: text += "  until the consumer reads"
        case .queued, .connecting, .streaming, .stalled, .complete, .failed, .cancelled: break
        }
        if let outcome = job.outcome, outcome.code != .complete { text += "  \(outcome.message)" }
        return Terminal.printable(text)
    }

    static func bytes(_ count: Int) -> String {
        count < 1000 ? "\(count) B" : "\(ByteSize.describe(count)) (\(count) B)"
    }

    private static func percent(_ job: Job) -> String {
        guard let size = job.contentLength, size > 0 else { return "" }
        return ", \(Int((min(1, Double(job.bytesDelivered) / Double(size)) * 100).rounded(.down))) %"
    }

    private static func gate(_ job: Job, _ nowUsec: Int) -> String {
        guard job.gateClosures > 0 || job.stalledUsec > 0 else {
            return job.state == .stalled
                ? "never closed; fewer bytes wait than the high watermark"
                : "never closed: the consumer keeps up"
        }
        let closed = Double(job.stalledUsec) / 1e6
        var text = "closed \(job.gateClosures) times, \(Elapsed.brief(closed)) in all"
        if let running = JobTimes.running(job, nowUsec: nowUsec), running > 0 {
            text += " (\(Int((min(1, closed / running) * 100).rounded())) % of the time)"
        }
        return text
    }

    /// A time in the local time zone, in the format of `date +"%F %T %z"`.
    static func moment(_ usec: Int) -> String {
        var seconds = time_t(usec / 1_000_000)
        var fields = tm()
        guard localtime_r(&seconds, &fields) != nil else { return "?" }
        var buffer = [CChar](repeating: 0, count: 64)
        let length = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M:%S %z", &fields)
        return String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    private struct Lines {
        var text = ""

        mutating func add(_ name: String, _ value: String) {
            let padding = String(repeating: " ", count: max(0, 14 - name.count))
            text += "\(padding)\(name): \(Terminal.printable(value))\n"
        }
    }
}
