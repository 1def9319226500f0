public import SluiceInterface
internal import Varlink

/// A job that has ended: nothing of it changes any more, so it is put into words once for all who want to know.
///
/// Not to be shared between threads.
public final class EndedJob {
    /// The job.
    public let job: Job
    /// As JSON; nil for what cannot be encoded. Numbers, words and strings can.
    lazy var encoded: EncodedValue? = try? EncodedValue(job)
    /// The same, in UTF-8, in one line.
    var json: [UInt8]? { encoded?.json }

    /// Encodes nothing yet: there may be nobody who wants it.
    public init(_ job: Job) {
        self.job = job
    }
}
