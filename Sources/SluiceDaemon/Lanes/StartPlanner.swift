internal import EventLoop
internal import SluiceCore
internal import Unix

/// Follows `StartRules` in real time: measures starts and bodies, and has the owner ask again when the answer would be
/// another one. Belongs to the loop's thread.
final class StartPlanner {
    /// Called when the owner must ask again although no lane has changed.
    var onReminder: () -> Void = {}

    private let loop: EventLoop
    private let clock: () -> UInt64
    private var rules: StartRules
    private var reminder: (timer: Timer, due: UInt64)?

    /// - Parameter clock: the one by which the lanes go, in ns.
    init(rules: StartRules, clock: @escaping () -> UInt64, loop: EventLoop) {
        self.rules = rules
        self.clock = clock
        self.loop = loop
    }

    /// The lane is ready now.
    func isReady(_ lane: Lane) { rules.started(after: clock() - lane.since) }

    /// The lane has done its order now.
    func isDone(_ lane: Lane) { rules.ended(after: clock() - lane.since) }

    func decide(_ situation: StartRules.Situation) -> StartRules.Decision {
        let decision = rules.decide(situation)
        switch decision {
        case .later(let time), .full(let time): remind(after: time)
        case .start, .enough: break
        }
        return decision
    }

    /// The owner asks for all jobs that wait, and needs no reminder.
    func forgetReminder() {
        reminder?.timer.cancel()
        reminder = nil
    }

    private func remind(after time: UInt64) {
        let due = clock() + time
        if let reminder, reminder.due <= due { return }
        forgetReminder()
        let timer = loop.after(.nanoseconds(Int64(clamping: time))) { [weak self] in
            guard let self else { return }
            reminder = nil
            onReminder()
        }
        reminder = (timer, due)
    }
}
