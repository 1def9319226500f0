/// The state of a job.
///
/// A job moves from `queued` through `connecting` to `streaming`. It moves between `streaming` and `stalled` each
/// time its consumer falls behind. The service parks a job (`parked`) whose consumer reads nothing for long. A job
/// whose attempt has failed is `waiting` for the next one. From both states it goes back to `queued`. It ends in one
/// of the last three states.
public enum JobState: String, Codable, Sendable, CaseIterable {
    /// Waits for a lane.
    case queued
    /// A lane is at work; the head of the response has not arrived yet.
    case connecting
    /// The body flows.
    case streaming
    /// The consumer does not read, the gate is closed, and the origin waits.
    case stalled
    /// The consumer has not read for long. The job has no connection and no lane until the consumer reads. Then the
    /// body continues with the next byte.
    case parked
    /// An attempt has failed; the next one begins after a pause.
    case waiting
    /// The whole body is in the consumer's pipe, or the caller already had the current version.
    case complete
    /// The job ended early. The consumer has an exact prefix of the body.
    case failed
    /// The owner or root cancelled the job. The consumer has an exact prefix of the body.
    case cancelled

    /// Whether the job has ended.
    public var isFinal: Bool {
        switch self {
        case .queued, .connecting, .streaming, .stalled, .parked, .waiting: false
        case .complete, .failed, .cancelled: true
        }
    }
}
