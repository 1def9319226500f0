public import SluiceInterface

/// The life of a job, without its descriptors, processes and clocks.
///
/// Every event returns what the owner must do. Events that come too late (a lane's report about a job that has just
/// been ended, a second cancel) are legal in every state and change nothing.
public struct JobStateMachine: Sendable {
    /// What a lane is doing for the job.
    public enum Phase: Sendable, Equatable {
        /// Nothing has come back yet.
        case connecting
        /// The body flows.
        case streaming
        /// The gate has been closed for a while.
        case stalled

        fileprivate var publicState: JobState {
            switch self {
            case .connecting: .connecting
            case .streaming: .streaming
            case .stalled: .stalled
            }
        }
    }

    /// What the end of an attempt means for its job.
    public enum Verdict: Sendable, Equatable {
        /// The job has ended.
        case finish(Outcome)
        /// There will be another attempt, after a pause.
        case retry
    }

    private enum State: Sendable, Equatable {
        case queued
        case running(Phase)
        /// The lane was told to stop and has not answered: it may still write, so the account is still open.
        case ending(Outcome, from: Phase)
        /// As `ending`, but the job will continue later.
        case parking(from: Phase)
        /// The job has no lane until the consumer reads.
        case parked
        /// The job has no lane until a pause is over.
        case waiting
        case finished(Outcome)
    }

    /// What the job's owner must do after an event.
    public enum Action: Sendable, Equatable {
        /// Nothing.
        case none
        /// Tell the clients that watch the job that its state has changed.
        case report
        /// Tell the lane to end the transfer, and make sure that it does.
        case endTransfer
        /// Put the job at the end of the queue, once its last lane has released it.
        case enqueue
        /// Wait for the consumer to read.
        case park
        /// Wait for the pause to be over.
        case pause
        /// Settle the account, close the pipe, and tell the clients that watch or wait for the job.
        case finish(Outcome)
    }

    private var state: State

    /// A job that waits for its first lane.
    public init() {
        state = .queued
    }

    /// A job that was parked when the service ended.
    public static func restoredParked() -> JobStateMachine {
        var machine = JobStateMachine()
        machine.state = .parked
        return machine
    }

    /// A job that ended before the service was restarted.
    public static func restoredFinished(_ outcome: Outcome) -> JobStateMachine {
        var machine = JobStateMachine()
        machine.state = .finished(outcome)
        return machine
    }

    /// The state that clients see: a job that is being ended is still shown in its previous state.
    public var publicState: JobState {
        switch state {
        case .queued: .queued
        case .running(let phase), .ending(_, let phase), .parking(let phase): phase.publicState
        case .parked: .parked
        case .waiting: .waiting
        case .finished(let outcome): outcome.code.state
        }
    }

    /// The outcome, once the job has ended.
    public var outcome: Outcome? {
        switch state {
        case .queued, .running, .ending, .parking, .parked, .waiting: nil
        case .finished(let outcome): outcome
        }
    }

    /// The outcome that the job will have once its lane has released it.
    public var endingOutcome: Outcome? {
        switch state {
        case .ending(let outcome, _): outcome
        case .queued, .running, .parking, .parked, .waiting, .finished: nil
        }
    }

    /// A lane works for the job and has not been told to stop.
    public var isRunning: Bool {
        switch state {
        case .running: true
        case .queued, .ending, .parking, .parked, .waiting, .finished: false
        }
    }

    /// No lane may write for the job, and the job has not ended.
    public var isBetweenAttempts: Bool {
        switch state {
        case .queued, .parked, .waiting: true
        case .running, .ending, .parking, .finished: false
        }
    }

    /// A lane has taken the job.
    public mutating func dispatched() -> Action {
        switch state {
        case .queued:
            state = .running(.connecting)
            return .report
        case .running, .ending, .parking, .parked, .waiting, .finished:
            return .none
        }
    }

    /// The lane has entered another phase.
    public mutating func entered(_ phase: Phase) -> Action {
        switch state {
        case .running(let before) where before != phase:
            state = .running(phase)
            return .report
        case .queued, .running, .ending, .parking, .parked, .waiting, .finished:
            return .none
        }
    }

    /// The job's user, a deadline or the service ends the job.
    public mutating func endRequested(_ outcome: Outcome) -> Action {
        switch state {
        case .queued, .parked, .waiting:
            state = .finished(outcome)
            return .finish(outcome)
        case .running(let phase):
            state = .ending(outcome, from: phase)
            return .endTransfer
        case .parking(let phase):
            // The lane has been told already.
            state = .ending(outcome, from: phase)
            return .none
        case .ending, .finished:
            return .none
        }
    }

    /// The consumer has not read for a long time, and the body can be continued later.
    public mutating func parkRequested() -> Action {
        switch state {
        case .running(let phase):
            state = .parking(from: phase)
            return .endTransfer
        case .queued, .ending, .parking, .parked, .waiting, .finished:
            return .none
        }
    }

    /// The lane has reported the end of the transfer: its account is closed.
    ///
    /// If the body was complete before the lane received the command to stop, the job is complete.
    public mutating func laneEnded(_ verdict: Verdict) -> Action {
        switch state {
        case .running:
            return attemptEnded(verdict)
        case .ending(let wanted, _):
            return finish(verdict.isWhole ?? wanted)
        case .parking:
            if let whole = verdict.isWhole { return finish(whole) }
            // A consumer that has gone does not come back, and a body with the wrong digest stays wrong.
            if case .finish(let outcome) = verdict, [.consumerGone, .digestMismatch].contains(outcome.code) {
                return finish(outcome)
            }
            state = .parked
            return .park
        case .queued, .parked, .waiting, .finished:
            return .none
        }
    }

    /// The lane is dead and reaped, so it cannot write any more.
    public mutating func laneDied(_ verdict: Verdict) -> Action {
        guard case .running = state else { return stopIsOver() }
        return attemptEnded(verdict)
    }

    /// The lane died before it took the order: a running job returns to the queue.
    public mutating func orderWasLost() -> Action {
        guard case .running = state else { return stopIsOver() }
        state = .queued
        return .report
    }

    /// The lane that was told to stop is gone.
    private mutating func stopIsOver() -> Action {
        switch state {
        case .ending(let wanted, _):
            return finish(wanted)
        case .parking:
            state = .parked
            return .park
        case .queued, .running, .parked, .waiting, .finished:
            return .none
        }
    }

    /// The consumer of a parked job reads again.
    public mutating func drained() -> Action {
        switch state {
        case .parked:
            state = .queued
            return .enqueue
        case .queued, .running, .ending, .parking, .waiting, .finished:
            return .none
        }
    }

    /// The pause before the next attempt is over.
    public mutating func pauseIsOver() -> Action {
        switch state {
        case .waiting:
            state = .queued
            return .enqueue
        case .queued, .running, .ending, .parking, .parked, .finished:
            return .none
        }
    }

    /// The account turned out to be damaged, or a job that has no lane cannot go on. The job ends with this outcome
    /// instead.
    public mutating func becameUncertain(_ outcome: Outcome) {
        state = .finished(outcome)
    }

    private mutating func attemptEnded(_ verdict: Verdict) -> Action {
        switch verdict {
        case .finish(let outcome):
            return finish(outcome)
        case .retry:
            state = .waiting
            return .pause
        }
    }

    private mutating func finish(_ outcome: Outcome) -> Action {
        state = .finished(outcome)
        return .finish(outcome)
    }
}

extension JobStateMachine.Verdict {
    /// The outcome, if the consumer has the whole body; nil otherwise.
    fileprivate var isWhole: Outcome? {
        guard case .finish(let outcome) = self, outcome.code.state == .complete else { return nil }
        return outcome
    }
}
