internal import LaneProtocol

/// Distinguishes a lane that hangs from a lane that waits.
///
/// The owner calls `look` periodically with all lanes that have orders, and carries out the actions that it returns:
///
/// - A lane whose ledger has changed since the last look is alive.
/// - A lane whose ledger has not changed is asked. A live lane writes the question's number into its ledger within
///   milliseconds, even if its origin or its consumer is silent for a long time. The look that finds the answer asks
///   the lane again.
/// - A lane that has not answered after `looksToAnswer` looks hangs.
///
/// There is no clock here: time is counted in looks. The time between two looks is at least a third of the time that a
/// lane has to answer. If the daemon was stopped, or the machine suspended, for any length of time, the next look
/// counts as one, and the owner reports that it is late. After a late look no lane is blamed, and the time to answer
/// begins again.
struct HangWatch: Sendable {
    /// Number of looks without an answer after which a lane is considered to hang.
    static let looksToAnswer = 3

    /// A lane with an order, in its state at a look.
    struct Lane: Sendable {
        /// The number of the order; no two orders have the same.
        var serial: Int
        /// The signs of life in the order's ledger.
        var pulse: LedgerPulse
        /// The lane has reported that its consumer does not read.
        var isStalled: Bool

        /// Creates a lane's state.
        init(serial: Int, pulse: LedgerPulse, isStalled: Bool) {
            self.serial = serial
            self.pulse = pulse
            self.isStalled = isStalled
        }
    }

    /// What the owner must do about a lane.
    enum Action: Sendable, Equatable {
        /// Ask the lane that has this order, with this number.
        case ask(serial: Int, number: Int)
        /// Replace the lane that has this order. The owner must not pass this order to `look` again.
        case replace(serial: Int)
    }

    private enum State {
        /// The ledger has changed since the previous look, or the order is new.
        case active
        /// The lane has not answered this question; `missed` counts the looks on time that found no answer.
        case asked(number: Int, missed: Int)

        var isSuspect: Bool {
            switch self {
            case .active: false
            case .asked(_, let missed): missed > 0
            }
        }
    }

    private struct Watched {
        var state: State
        var pulse: LedgerPulse
        var isStalled: Bool
    }

    private var lanes: [Int: Watched] = [:]
    private var lastNumber = 0

    /// A watch that has seen no lane yet.
    init() {}

    /// Examines all lanes that have orders and have not been told to end. Lanes that are not among `found` are
    /// forgotten.
    ///
    /// - Parameter isLate: the owner could not look at the planned time.
    mutating func look(at found: [Lane], isLate: Bool) -> [Action] {
        let before = lanes
        lanes = [:]
        var actions: [Action] = []
        for lane in found {
            let (state, action) = next(before[lane.serial], lane, isLate: isLate)
            lanes[lane.serial] = Watched(state: state, pulse: lane.pulse, isStalled: lane.isStalled)
            if let action { actions.append(action) }
        }
        return actions
    }

    /// Whether the owner may wait for the whole time that a lane has to answer before it looks again: no lane is late
    /// with its answer, and no lane has a consumer that reads.
    var isCalm: Bool { lanes.values.allSatisfy { $0.isStalled && !$0.state.isSuspect } }

    private mutating func next(_ before: Watched?, _ lane: Lane, isLate: Bool) -> (State, Action?) {
        guard let before, before.pulse.counters == lane.pulse.counters else { return (.active, nil) }
        switch before.state {
        case .active:
            return ask(lane)
        case .asked(let number, let missed):
            if lane.pulse.answered == UInt64(number) { return ask(lane) }
            if isLate { return (.asked(number: number, missed: 0), nil) }
            let state = State.asked(number: number, missed: missed + 1)
            return (state, missed + 1 < Self.looksToAnswer ? nil : .replace(serial: lane.serial))
        }
    }

    private mutating func ask(_ lane: Lane) -> (State, Action?) {
        lastNumber += 1
        return (
            .asked(number: lastNumber, missed: 0), .ask(serial: lane.serial, number: lastNumber)
        )
    }
}
