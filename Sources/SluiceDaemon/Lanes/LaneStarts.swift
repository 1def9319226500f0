/// Whether lanes can be started: how the service comes up, when a start that failed may be tried again, and when there
/// is no hope that jobs get a lane.
///
/// A value without I/O.
struct LaneStarts {
    /// The lanes that have not ended and were not asked to.
    struct Census {
        var starting: Int
        /// Ready, whether idle or not.
        var warm: Int

        var isEmpty: Bool { starting + warm == 0 }
    }

    /// What the owner must tell others.
    enum News: Equatable {
        /// The service can work. Told once, unless `neverWarm` is told.
        case warm
        /// The service has come up without a lane, for this reason.
        case neverWarm(String)
        /// No lane can be started, for this reason, which was told before unless it `isNew`.
        case unavailable(String, isNew: Bool)
    }

    private enum Phase {
        /// Nothing has been told about the start of the service.
        case comingUp
        case working
        /// No lane can be started.
        case broken(String)
    }

    /// The pause after a lane that did not start. Doubled with each further failure, up to `longestPause`.
    static let firstPause = Duration.milliseconds(100)
    static let longestPause = Duration.seconds(5)
    /// The number of lanes in a row that must fail to start before jobs fail.
    static let failuresToGiveUp = 3

    private var phase = Phase.comingUp
    private var failuresInARow = 0
    /// Whether the next start has to wait.
    private(set) var isPausing = false
    /// The number of lanes that did not start, or died before they were ready.
    private(set) var failures = 0
    /// Why the latest lane did not start; nil once a lane has started.
    private(set) var trouble: String?

    /// Whether the service has come up.
    var hasComeUp: Bool { if case .comingUp = phase { false } else { true } }
    /// Why no lane can be started; nil as long as lanes can be, or have not failed often enough.
    var breakdown: String? { if case .broken(let reason) = phase { reason } else { nil } }

    /// A lane is ready.
    ///
    /// - Parameter minimum: the number of warm lanes with which the service has come up.
    mutating func succeeds(_ lanes: Census, minimum: Int) -> News? {
        failuresInARow = 0
        trouble = nil
        if case .broken = phase { phase = .working }
        return lanes.warm >= minimum ? comesUp() : nil
    }

    private mutating func comesUp() -> News? {
        guard case .comingUp = phase else { return nil }
        phase = .working
        return .warm
    }

    /// A lane has not started.
    ///
    /// - Parameter isShortage: this may pass as soon as another lane has ended.
    /// - Returns: what to tell, and the pause that begins; nil where there is one already.
    mutating func fails(_ reason: String, isShortage: Bool, _ lanes: Census) -> (
        news: [News], pause: Duration?
    ) {
        failuresInARow += 1
        failures += 1
        trouble = reason
        var news: [News] = []
        if lanes.warm > 0, let up = comesUp() { news.append(up) }
        // Lanes that are started together fail together, so only the last of them decides.
        if failuresInARow >= Self.failuresToGiveUp, lanes.starting == 0, lanes.isEmpty || !isShortage {
            let sentence = "no lane can be started: \(reason)"
            guard hasComeUp else { return ([.neverWarm(sentence)], nil) }
            news.append(.unavailable(sentence, isNew: breakdown == nil))
            phase = .broken(sentence)
        }
        guard !isPausing else { return (news, nil) }
        isPausing = true
        return (news, min(Self.longestPause, Self.firstPause * (1 << min(failuresInARow - 1, 6))))
    }

    /// The pause is over.
    mutating func pauseEnds() { isPausing = false }

    /// Whether to start a lane although no job may wait, so that the next job does not have to find out whether lanes
    /// can be started.
    func mustTry(_ lanes: Census) -> Bool { breakdown != nil && lanes.starting == 0 }
}
