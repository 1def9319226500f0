public import SluiceInterface

/// Waits for a job's outcome, also across restarts of the service.
///
/// An end of file in the pipe says nothing about the body. A service that was restarted keeps its jobs, but for those
/// that had only just begun, and then the consumer sees nothing but a pause; so a lost connection is made anew for a
/// while before the outcome is given up.
public struct OutcomeWaiter {
    /// The job.
    public let id: String
    /// How long to look for a service that has gone away, each time that it does.
    public var patience: Duration
    private let connection: SluiceConnection
    private let pause: (Duration) -> Void
    private let failure: SluiceError?

    /// Asks on a connection, which is used for nothing else from now on.
    ///
    /// To be made right after the job: a service that stops while the body flows answers those who have asked, and
    /// then it is gone.
    ///
    /// - Parameters:
    ///   - patience: how long to look for a service that has gone away.
    ///   - pause: lets time pass between two looks.
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

    /// Waits until the job has ended; once.
    ///
    /// - Throws: `.serviceTrouble` where nobody can say how it ended, with `isJobForgotten` where a service is there and
    ///   does not know the job any more; `.noSuchJob` where it never knew it.
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

    /// The service did not come back in time.
    init(outcomeOf id: String, unknownAfter last: SluiceError) {
        if last.kind == .permissionDenied || (last.kind == .busy && !last.isStopping) {
            // It is there, and has its own reason.
            self = last
            return
        }
        self.init(
            .serviceTrouble, "the service went away before it said how job \(id) ended",
            remedy: "fetch again: what was delivered may be incomplete")
    }
}
