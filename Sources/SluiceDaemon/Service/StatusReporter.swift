internal import EventLoop
internal import SluiceInterface
internal import Systemd

/// Sends the status line and the watchdog's keep-alive messages to the service manager (sd_notify(3)). Both come from
/// the loop that does the work, so that they stop when it hangs. Belongs to the loop's thread.
final class StatusReporter {
    private let loop: EventLoop
    private let notifier: Notifier
    private let line: () -> String
    private let isBusy: () -> Bool
    private var throttle = StatusThrottle()
    private var timer: Timer?
    private var isClosed = false

    /// - Parameters:
    ///   - line: returns the current status.
    ///   - isBusy: returns whether bytes may flow, so that the line can change without `update`.
    init(loop: EventLoop, notifier: Notifier, line: @escaping () -> String, isBusy: @escaping () -> Bool) {
        self.loop = loop
        self.notifier = notifier
        self.line = line
        self.isBusy = isBusy
    }

    /// The status may have changed. Costs nothing while the next line is scheduled already.
    func update() {
        guard !isClosed, timer == nil else { return }
        switch throttle.update(line(), at: .now) {
        case .send(let line): _ = notifier.status(line)
        case .wait(until: let moment):
            schedule(at: moment)
            return
        case .nothing: break
        }
        if isBusy() { schedule(at: .now + .seconds(1)) }
    }

    func close() {
        isClosed = true
        timer?.cancel()
    }

    /// Starts to send the watchdog's messages, if the unit has a watchdog (`WatchdogSec=`).
    func startWatchdog() {
        guard let interval = Watchdog.pingInterval else { return }
        _ = notifier.watchdog()
        ping(every: interval)
    }

    private func ping(every interval: Duration) {
        loop.after(interval) { [weak self] in
            guard let self, !isClosed else { return }
            _ = notifier.watchdog()
            ping(every: interval)
        }
    }

    private func schedule(at moment: ContinuousClock.Instant) {
        timer = loop.after(max(.zero, moment - .now)) { [weak self] in
            guard let self else { return }
            timer = nil
            if case .send(let line) = throttle.timerFired(at: .now) { _ = notifier.status(line) }
            update()
        }
    }
}

extension Scheduler {
    /// The current status line.
    var statusLine: String {
        StatusLine.describe(
            counts, lanes: pool.counts, delivered: numbers.delivered, trouble: pool.trouble,
            isDraining: isDraining)
    }
}

/// The line for `systemctl status`.
enum StatusLine {
    /// The jobs by state, the results so far, and what is wrong.
    ///
    /// `3 streaming, 1 stalled, 12 queued; 16 of 96 lanes busy; 99 complete, 2 failed; 1.4 GB delivered`
    ///
    /// - Parameters:
    ///   - trouble: why no lane starts; nil if lanes start.
    ///   - isDraining: no new jobs are accepted.
    static func describe(
        _ counts: Ingest.JobCounts, lanes: Ingest.LaneCounts, delivered: Int, trouble: String?,
        isDraining: Bool = false
    ) -> String {
        let parts = [
            (counts.connecting, "connecting"), (counts.streaming, "streaming"), (counts.stalled, "stalled"),
            (counts.parked, "parked"), (counts.waiting, "waiting to try again"), (counts.queued, "queued"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let idle = isDraining ? "drained" : "idle"
        let jobs = parts.isEmpty ? idle : parts.joined(separator: ", ")
        let activity = isDraining && !parts.isEmpty ? "draining: \(jobs)" : jobs
        var line = trouble.map { "lanes cannot be started (\($0)); \(activity)" } ?? activity
        if lanes.busy > 0 { line += "; \(lanes.busy) of \(lanes.limit) lanes busy" }
        let ended = [(counts.complete, "complete"), (counts.failed, "failed")]
            .filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        if !ended.isEmpty { line += "; \(ended.joined(separator: ", "))" }
        return "\(line); \(ByteSize.describe(delivered)) delivered"
    }
}
