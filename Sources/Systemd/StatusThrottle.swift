/// Decides when to send a status line: only when it differs from the last one sent, and at most once per interval.
/// The last line of a burst is never lost: it waits.
///
/// Pure: time is passed in, and the caller sends and waits.
public struct StatusThrottle: Sendable {
    /// What the caller has to do.
    public enum Step: Sendable, Equatable {
        /// Send this line now.
        case send(String)
        /// Send nothing yet. Call `timerFired` at this moment.
        case wait(until: ContinuousClock.Instant)
        /// Do nothing: the line equals the one last sent, or a wait for it has already begun.
        case nothing
    }

    private let interval: Duration
    private var sent: (line: String, at: ContinuousClock.Instant)?
    private var pending: String?

    /// A throttle that has sent nothing yet. It sends the first line at once.
    public init(interval: Duration = .seconds(1)) {
        self.interval = interval
    }

    /// Reports that the status is `line` now.
    public mutating func update(_ line: String, at now: ContinuousClock.Instant) -> Step {
        guard let sent else { return send(line, now) }
        let isWaiting = pending != nil
        if now >= sent.at + interval {
            pending = nil
            return line == sent.line ? .nothing : send(line, now)
        }
        if isWaiting {
            // This also covers a line that equals the one last sent: the timer will find out.
            pending = line
            return .nothing
        }
        guard line != sent.line else { return .nothing }
        pending = line
        return .wait(until: sent.at + interval)
    }

    /// Reports that the moment asked for by `.wait` has come.
    public mutating func timerFired(at now: ContinuousClock.Instant) -> Step {
        guard let line = pending, let sent else { return .nothing }
        // A timer may fire early where the caller's clock is coarse.
        if now < sent.at + interval { return .wait(until: sent.at + interval) }
        pending = nil
        return line == sent.line ? .nothing : send(line, now)
    }

    private mutating func send(_ line: String, _ now: ContinuousClock.Instant) -> Step {
        sent = (line, now)
        return .send(line)
    }
}
