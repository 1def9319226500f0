public import SluiceInterface

/// Waits for a job's outcome, also across restarts of the service.
///
/// An end of file in the pipe says nothing about the body. A service that was restarted keeps its jobs, except those
/// that had only just begun, and the consumer sees nothing but a pause. A lost connection is therefore made anew for
/// a while before the waiter gives up.
public struct OutcomeWaiter {
    /// The job.
    public let id: String
    /// How long to look for a service that has gone away. The time begins anew with each loss.
    public var patience: Duration
    private let connection: SluiceConnection
    private let pause: (Duration) -> Void
    private let failure: SluiceError?

    /// Asks on a connection, which must not be used for anything else from now on.
    ///
    /// Make the waiter directly after the job: a service that stops while the body flows answers only the clients
    /// that have already asked.
    ///
    /// - Parameters:
    ///   - patience: how long to look for a service that has gone away.
    ///   - pause: waits between two attempts to find it.
    public init(
        for id: String, on connection: SluiceConnection, patience: Duration = Patience.standard,
        pause: @escaping (Duration) -> Void = sleepWhole
    ) {
        self.id = id
        self.connection = connection
        self.patience = patience
        self.pause = pause
        do {
            try connection.sendWait(for: id)
            failure = nil
        } catch {
            failure = error
        }
    }

    /// Waits until the job has ended. Call it once.
    ///
    /// - Throws: `.serviceTrouble` where the outcome cannot be found out, with `isJobForgotten` where a service
    ///   answers and does not know the job any more; `.noSuchJob` where the service never knew it.
    public func wait() throws(SluiceError) -> Job {
        if let failure { return try waitAnew(after: failure) }
        do {
            return try connection.waitedJob()
        } catch {
            return try waitAnew(after: error)
        }
    }

    private func waitAnew(after failure: SluiceError) throws(SluiceError) -> Job {
        guard failure.isConnectionLost || failure.isStopping else { throw failure }
        var last = failure
        var patience = Patience(patience, pause: pause)
        while patience.lasts() {
            do {
                return try SluiceConnection(connectedTo: connection.path).wait(for: id)
            } catch {
                if error.kind == .noSuchJob { throw SluiceError(forgotten: id) }
                guard error.mayPass else { throw error }
                last = error
            }
        }
        throw SluiceError(outcomeOf: id, unknownAfter: last)
    }
}

extension SluiceError {
    /// A service that was restarted does not know the job.
    init(forgotten id: String) {
        self.init(
            .serviceTrouble, "the service was restarted and does not know job \(id) any more",
            remedy: "fetch again: what was delivered may be incomplete")
        isJobForgotten = true
    }

    /// The error where the service did not come back in time.
    init(outcomeOf id: String, unknownAfter last: SluiceError) {
        if last.kind == .permissionDenied || (last.kind == .busy && !last.isStopping) {
            // The service answers, and gives its own reason.
            self = last
            return
        }
        self.init(
            .serviceTrouble, "the service went away before it said how job \(id) ended",
            remedy: "fetch again: what was delivered may be incomplete")
    }
}
