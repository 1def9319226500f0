internal import EventLoop
internal import Unix

/// Where a job's body goes: a pipe's write end, or an upgraded connection. The consumer sees an end of file when the last
/// holder closes it, and the job is that one.
///
/// Belongs to the loop's thread.
final class JobSink {
    /// A pipe can be grown, measured and parked; a connection cannot.
    let isPipe: Bool
    private var descriptor: OwnedDescriptor?
    /// Sees a consumer that goes, or reads, while no lane is at work.
    private(set) var watch: Watch?

    init(_ descriptor: consuming OwnedDescriptor, isPipe: Bool) {
        self.descriptor = .some(descriptor)
        self.isPipe = isPipe
    }

    deinit {
        stopWatching()
    }

    /// Lends the descriptor to `body`, which must not ask for it again.
    ///
    /// - Returns: nil where the descriptor was taken out.
    func withDescriptor<Result, Failure: Error>(
        _ body: (borrowing OwnedDescriptor) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let lent = descriptor.take() else { return nil }
        do throws(Failure) {
            let result = try body(lent)
            descriptor = consume lent
            return result
        } catch {
            descriptor = consume lent
            throw error
        }
    }

    /// Takes the descriptor out for good.
    func take() -> OwnedDescriptor? {
        stopWatching()
        return descriptor.take()
    }

    /// Watches the consumer.
    ///
    /// - Returns: false where the loop cannot watch it.
    func startWatching(on loop: EventLoop, _ handler: @escaping (Readiness) -> Void) -> Bool {
        guard watch == nil else { return true }
        watch = withDescriptor { try? loop.watch($0, for: [], handler) } ?? nil
        return watch != nil
    }

    func stopWatching() {
        watch?.cancel()
        watch = nil
    }
}
