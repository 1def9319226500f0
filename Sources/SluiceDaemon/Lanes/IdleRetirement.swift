internal import EventLoop
internal import SluiceCore
internal import Unix

/// Retires lanes that are not needed any more once they have been idle for long enough. While there is none, there is no
/// timer. Belongs to the loop's thread.
final class IdleRetirement {
    private let loop: EventLoop
    private let clock: () -> UInt64
    private let surplus: () -> [Lane]
    private let idleSeconds: () -> Double
    private let onRetired: () -> Void
    private var timer: Timer?

    /// - Parameters:
    ///   - clock: the one by which the lanes go, in ns.
    ///   - surplus: the idle lanes that may go.
    ///   - idleSeconds: after how long.
    ///   - onRetired: called after each look, whether or not a lane was retired.
    init(
        loop: EventLoop, clock: @escaping () -> UInt64, surplus: @escaping () -> [Lane],
        idleSeconds: @escaping () -> Double, onRetired: @escaping () -> Void
    ) {
        self.loop = loop
        self.clock = clock
        self.surplus = surplus
        self.idleSeconds = idleSeconds
        self.onRetired = onRetired
    }

    /// Plans the next look, unless one is planned.
    func schedule() {
        guard timer == nil, let oldest = surplus().min(by: { $0.since < $1.since }) else { return }
        timer = loop.after(.seconds(max(0, idleSeconds() - age(of: oldest)))) { [weak self] in
            guard let self else { return }
            timer = nil
            for lane in surplus() where age(of: lane) >= idleSeconds() { lane.retire() }
            onRetired()
        }
    }

    func close() { timer?.cancel() }

    private func age(of lane: Lane) -> Double { Nanoseconds.seconds(from: lane.since, to: clock()) }
}
