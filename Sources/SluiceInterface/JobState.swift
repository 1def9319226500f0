/// Where a job is in its life.
///
/// A job moves from `queued` through `connecting` to `streaming`, between `streaming` and `stalled` as often as its
/// consumer falls behind, and ends in one of the last three.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a lane.
    case queued
    /// A lane is at work; the head of the response has not arrived yet.
    case connecting
    /// The body flows.
    case streaming
    /// The consumer does not read, the gate is closed, and the origin waits.
    case stalled
    /// The whole body is in the consumer's pipe.
    case complete
    /// It ended early; the consumer has an exact prefix of the body.
    case failed
    /// Its owner ended it; the consumer has an exact prefix of the body.
    case cancelled

    /// Whether nothing more will happen to the job.
    public var isFinal: Bool {
        switch self {
        case .queued, .connecting, .streaming, .stalled: false
        case .complete, .failed, .cancelled: true
        }
    }
}
