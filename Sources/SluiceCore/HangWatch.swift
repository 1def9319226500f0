/// Tells a lane that hangs from one that waits.
///
/// The owner looks at all lanes that have orders, again and again, and carries out what `look` returns:
///
/// - A lane whose ledger has changed since the last look is alive.
/// - One whose ledger has not is asked. It answers with the question's number in its ledger, within milliseconds, however
///   long its origin or its consumer may be silent. It is asked again at the look that finds the answer.
/// - A lane that has not answered after `looksToAnswer` looks hangs.
///
/// There is no clock in here: time is counted in looks. The owner keeps two looks at least a third of the time apart that
/// a lane has to answer. So however long the daemon was stopped, or the machine suspended, that is one look, and the owner
/// says of it that it came late: then no lane is blamed for it, and the time to answer begins again.
public struct HangWatch: Sendable {
    /// How many looks without an answer make a lane one that hangs.
    public static let looksToAnswer = 3

    /// A lane with an order, as it is found at a look.
    public struct Lane: Sendable {
        /// Of the order; no two orders have the same.
        public var serial: Int
        /// Of the order's ledger.
        public var pulse: LedgerPulse
        /// The lane has reported that its consumer does not read.
        public var isStalled: Bool

        /// A lane.
        public init(serial: Int, pulse: LedgerPulse, isStalled: Bool) {
            self.serial = serial
            self.pulse = pulse
            self.isStalled = isStalled
        }
    }

    /// What the owner has to do about a lane.
    public enum Action: Sendable, Equatable {
        /// Ask the lane that has this order, with this number.
        case ask(serial: Int, number: Int)
        /// Replace the lane that has this order. It is not to be shown to `look` again.
        case replace(serial: Int)
    }

    private enum State {
        /// It has moved something since the look before, or its order is new.
        case active
        /// It has not answered, and so many looks that were on time have found that.
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

    /// Nothing has been looked at.
    public init() {}

    /// Looks at all lanes that have orders and have not been told to end. What is not among them is forgotten.
    ///
    /// - Parameter isLate: the owner was not able to look when it had planned to.
    public mutating func look(at found: [Lane], isLate: Bool) -> [Action] {
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

    /// Whether it is enough to look after the whole time that a lane has to answer: no lane is late with its answer, and the
    /// consumers of all of them do not read.
    public var isCalm: Bool { lanes.values.allSatisfy { $0.isStalled && !$0.state.isSuspect } }

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
