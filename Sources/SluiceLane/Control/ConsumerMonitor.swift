internal import CUnix
internal import EventLoop
internal import LaneProtocol
internal import SluiceCore
internal import SluiceInterface
internal import SystemPackage

/// Looks at a job's consumer: by ticks while bytes move, by a watch on its pipe while they do not.
///
/// While bytes flow, the pump writes to the consumer's end often enough to notice that it is closed. A watch would wake
/// this thread each time the consumer splices something out of the pipe, even if it asks for no readiness.
///
/// Used on the loop's thread only.
final class ConsumerMonitor {
    private let loop: EventLoop
    private let pump: Pump
    /// Nothing has moved for a while although bytes wait.
    private let onStall: () -> Void
    /// The consumer's end is closed, or cannot be watched.
    private let end: (Outcome) -> Void
    private var watch: Watch?
    /// The next tick. While a stall is reported there are no ticks, and this is the next check for a hold.
    private var next: Timer?

    init(loop: EventLoop, pump: Pump, onStall: @escaping () -> Void, end: @escaping (Outcome) -> Void) {
        self.loop = loop
        self.pump = pump
        self.onStall = onStall
        self.end = end
    }

    /// Watches for the consumer's end only, or for room in its pipe as well.
    func watch(for readiness: Readiness) throws(Errno) {
        if let watch {
            watch.readiness = readiness
            return
        }
        watch = try pump.watch(on: loop, for: readiness) { [weak self] in self?.isReady($0) }
    }

    func startTicking() {
        unwatch()
        scheduleTick(milliseconds: PumpStateMachine.pauseMilliseconds)
    }

    func stop() {
        unwatch()
        next?.cancel()
        next = nil
    }

    private func unwatch() {
        watch?.cancel()
        watch = nil
    }

    private func isReady(_ readiness: Readiness) {
        if !readiness.isDisjoint(with: [.failed, .hungUp]) { return end(.consumerGone) }
        switch pump.pushAll() {
        case .none: watch?.readiness = []
        // A consumer that takes small pieces would wake this thread for each of them.
        case .full: startTicking()
        case .stalled: break
        }
    }

    private func scheduleTick(milliseconds: Int) {
        next?.cancel()
        next = loop.after(.milliseconds(milliseconds)) { [weak self] in self?.tick() }
    }

    private func tick() {
        let tick = pump.tick()
        if case .after = tick.next, !tick.wantsRoom {
            unwatch()
        } else {
            do {
                try watch(for: tick.wantsRoom ? .writable : [])
            } catch {
                return end(Outcome(.laneUnavailable, "the consumer's end cannot be watched: \(error)"))
            }
        }
        switch tick.next {
        case .never: break
        case .after(let milliseconds): scheduleTick(milliseconds: milliseconds)
        case .stalled(let holdAfter):
            onStall()
            // A stall may last long, and many lanes may be stalled.
            cunix_give_memory_back()
            scheduleHoldCheck(milliseconds: holdAfter)
        }
    }

    private func scheduleHoldCheck(milliseconds: Int?) {
        next?.cancel()
        next = milliseconds.map {
            loop.after(.milliseconds($0)) { [weak self] in
                if let self { scheduleHoldCheck(milliseconds: pump.checkHold()) }
            }
        }
    }
}

extension Outcome {
    /// The consumer reads no more.
    static let consumerGone = Outcome(.consumerGone, "the consumer closed its end of the pipe")
}
