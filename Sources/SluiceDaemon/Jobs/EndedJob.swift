public import SluiceInterface
internal import Varlink

/// A job that has ended. It never changes any more, so it is encoded once for all clients that ask for it.
///
/// It must not be shared between threads.
public final class EndedJob {
    /// The job.
    public let job: Job
    /// The job as JSON; nil if it cannot be encoded, which cannot happen with its numbers, words and strings.
    lazy var encoded: EncodedValue? = try? EncodedValue(job)
    /// The same JSON as one line of UTF-8.
    var json: [UInt8]? { encoded?.json }

    /// Encodes nothing yet, because no client may ever ask for the job.
    public init(_ job: Job) {
        self.job = job
    }
}
