public import SluiceInterface

/// The life of a job, without its descriptors, processes and clocks.
///
/// Every event says what the owner has to do. Events that come too late (a lane's report about a job that has just
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
    }

    private enum State: Sendable, Equatable {
        case queued
        case running(Phase)
        /// The lane was told to stop and has not answered: it may still write, so the account is still open.
        case ending(Outcome, from: Phase)
        case finished(Outcome)
    }

    /// What an event asks of the job's owner.
    public enum Action: Sendable, Equatable {
        /// Nothing.
        case none
        /// Tell whoever watches: the state is another one.
        case report
        /// Tell the lane to end the transfer, and see to it that it does.
        case endTransfer
        /// Settle the account, close the pipe, tell everybody.
        case finish(Outcome)
    }

    private var state = State.queued

    /// A job that waits.
    public init() {}

    /// As others see it: a job that is being ended is still in the state it was in.
    public var publicState: JobState {
        switch state {
        case .queued: .queued
        case .running(let phase), .ending(_, let phase):
            switch phase {
            case .connecting: .connecting
            case .streaming: .streaming
            case .stalled: .stalled
            }
        case .finished(let outcome): outcome.code.state
        }
    }

    /// How it ended, once it has.
    public var outcome: Outcome? {
        switch state {
        case .queued, .running, .ending: nil
        case .finished(let outcome): outcome
        }
    }

    /// A lane has taken the job.
    public mutating func dispatched() -> Action {
        switch state {
        case .queued:
            state = .running(.connecting)
            return .report
        case .running, .ending, .finished:
            return .none
        }
    }

    /// The lane has entered another phase.
    public mutating func entered(_ phase: Phase) -> Action {
        switch state {
        case .running(let before) where before != phase:
            state = .running(phase)
            return .report
        case .queued, .running, .ending, .finished:
            return .none
        }
    }

    /// Somebody here wants it ended: its owner, a deadline, the service.
    public mutating func endRequested(_ outcome: Outcome) -> Action {
        switch state {
        case .queued:
            state = .finished(outcome)
            return .finish(outcome)
        case .running(let phase):
            state = .ending(outcome, from: phase)
            return .endTransfer
        case .ending, .finished:
            return .none
        }
    }

    /// The lane has reported the end of the transfer: its account is closed.
    ///
    /// A body that was complete before the lane heard that it should stop is complete.
    public mutating func laneEnded(_ outcome: Outcome) -> Action {
        switch state {
        case .running:
            state = .finished(outcome)
            return .finish(outcome)
        case .ending(let wanted, _):
            let isWhole = outcome.code == .complete || outcome.code == .completeUnverified
            let result = isWhole ? outcome : wanted
            state = .finished(result)
            return .finish(result)
        case .queued, .finished:
            return .none
        }
    }

    /// The lane is dead and reaped: whatever it had not written it never will.
    public mutating func laneDied(_ outcome: Outcome) -> Action {
        switch state {
        case .running:
            state = .finished(outcome)
            return .finish(outcome)
        case .ending(let wanted, _):
            state = .finished(wanted)
            return .finish(wanted)
        case .queued, .finished:
            return .none
        }
    }

    /// The lane is dead and never had the order: the job goes back to where it was.
    public mutating func orderWasLost() -> Action {
        switch state {
        case .running:
            state = .queued
            return .report
        case .ending(let wanted, _):
            state = .finished(wanted)
            return .finish(wanted)
        case .queued, .finished:
            return .none
        }
    }

    /// The account turned out to be damaged when it was settled.
    public mutating func becameUncertain(_ outcome: Outcome) {
        switch state {
        case .finished: state = .finished(outcome)
        case .queued, .running, .ending: preconditionFailure("an account is settled after the end")
        }
    }
}
