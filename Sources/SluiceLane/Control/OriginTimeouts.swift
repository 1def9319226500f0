internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface

/// Enforces the time limits that a job sets its origin: for the connection, for the head, for silence within the body,
/// and for its speed.
///
/// Used on the loop's thread only.
final class OriginTimeouts {
    private enum Phase {
        case none
        case head(Timer)
        case body(silence: Timer)
    }

    private let loop: EventLoop
    private let limits: Timeouts
    private let pump: Pump
    private let transfer: Transfer
    /// Ends the job.
    private let end: (Outcome) -> Void
    private var phase = Phase.none
    private var speed: SpeedWatch?
    private var speedLook: Timer?

    init(
        _ order: LaneOrder, loop: EventLoop, pump: Pump, transfer: Transfer, end: @escaping (Outcome) -> Void
    ) {
        self.loop = loop
        limits = order.timeouts
        self.pump = pump
        self.transfer = transfer
        self.end = end
    }

    /// The request begins.
    func begin() {
        awaitHead(after: shorterLimit)
    }

    /// The head is there.
    func bodyBegins() {
        stop()
        watchSilence(after: .seconds(limits.silence))
        guard let minimum = limits.minimumSpeed, let pace = pump.originPace() else { return }
        speed = SpeedWatch(
            minimum: minimum, span: Timeouts.speedSpan, openTime: pace.openTime, received: pace.received)
        lookAtSpeed()
    }

    /// No limit holds any more.
    func stop() {
        switch phase {
        case .none: break
        case .head(let timer), .body(let timer): timer.cancel()
        }
        phase = .none
        speedLook?.cancel()
        speedLook = nil
    }

    /// A new connection or a redirect does not wake this thread, so it looks at least this often.
    private var shorterLimit: Duration { .seconds(min(limits.connect, limits.head)) }

    private func awaitHead(after delay: Duration) {
        phase = .head(
            loop.after(delay) { [weak self] in
                guard let self else { return }
                switch transfer.lookAtPatience() {
                case .later(let nanoseconds):
                    awaitHead(after: min(.nanoseconds(Int64(clamping: nanoseconds)), shorterLimit))
                case .connectIsOverdue:
                    end(transfer.connectOverdue)
                case .headIsOverdue:
                    end(Outcome(.headTimeout, "no answer from \(transfer.host) within \(limits.head) s"))
                }
            })
    }

    /// Time behind a closed gate does not count, because the consumer causes it.
    private func watchSilence(after delay: Duration) {
        phase = .body(
            silence: loop.after(delay) { [weak self] in
                guard let self else { return }
                let limit = Duration.seconds(limits.silence)
                let silence = pump.originSilence() ?? .zero
                guard silence >= limit else { return watchSilence(after: limit - silence) }
                end(Outcome(.silenceTimeout, "the server sent nothing for \(limits.silence) s"))
            })
    }

    private func lookAtSpeed() {
        guard let pace = pump.originPace() else { return }
        switch speed?.look(openTime: pace.openTime, received: pace.received) {
        case nil: break
        case .later(let nanoseconds):
            // Behind a closed gate the span does not advance, so a later look is enough.
            let delay: Duration =
                pace.isHeldBack ? .seconds(Timeouts.speedSpan) : .nanoseconds(Int64(clamping: nanoseconds))
            speedLook = loop.after(delay) { [weak self] in self?.lookAtSpeed() }
        case .tooSlow(let bytes):
            end(Outcome(.tooSlow, "the server sent \(bytes) bytes in \(Int(Timeouts.speedSpan)) s"))
        }
    }
}
