/// Where a job is in its life.
///
/// A job moves from `queued` through `connecting` to `streaming`, and between `streaming` and `stalled` as often as its
/// consumer falls behind. A consumer that takes nothing for long gets its job `parked`; an attempt that fails leaves it
/// `waiting` for the next one; both go back to `queued`. It ends in one of the last three.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a lane.
    case queued
    /// A lane is at work; the head of the response has not arrived yet.
    case connecting
    /// The body flows.
    case streaming
    /// The consumer does not read, the gate is closed, and the origin waits.
    case stalled
    /// The consumer has not read for long: there is no connection and no lane until it does. Then the body goes on with
    /// the next byte.
    case parked
    /// An attempt has failed; the next one begins after a pause.
    case waiting
    /// The whole body is in the consumer's pipe, or it is unchanged and was not wanted again.
    case complete
    /// It ended early; the consumer has an exact prefix of the body.
    case failed
    /// Its owner ended it; the consumer has an exact prefix of the body.
    case cancelled

    /// Whether nothing more will happen to the job.
    public var isFinal: Bool {
        switch self {
        case .queued, .connecting, .streaming, .stalled, .parked, .waiting: false
        case .complete, .failed, .cancelled: true
        }
    }
}
