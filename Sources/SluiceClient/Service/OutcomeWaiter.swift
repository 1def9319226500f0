public import SluiceInterface

/// Waits for a job's outcome, also across a restart of the service.
///
/// An end of file in the pipe says nothing about the body. A service that was restarted may have kept the job, and then
/// the consumer saw nothing but a pause; so a lost connection is made anew for a while before the outcome is given up.
public struct OutcomeWaiter {
    /// The job.
    public let id: String
    /// How long to look for a service that has gone away.
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
        for id: String, on connection: SluiceConnection, patience: Duration = .seconds(5),
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

    /// Waits until the job has ended.
    ///
    /// - Throws: `.serviceTrouble` where nobody can say how it ended; `.noSuchJob`.
    public func wait() throws(SluiceError) -> Job {
        if let failure { return try waitAnew(after: failure) }
        do {
            return try connection.waitedJob()
        } catch {
            return try waitAnew(after: error)
        }
    }

    private func waitAnew(after failure: SluiceError) throws(SluiceError) -> Job {
        guard failure.isConnectionLost else { throw failure }
        let deadline = ContinuousClock.now + patience
        while ContinuousClock.now < deadline {
            do {
                return try SluiceConnection(connectedTo: connection.path).wait(for: id)
            } catch {
                if error.kind == .noSuchJob {
                    throw SluiceError(
                        .serviceTrouble, "the service was restarted and does not know job \(id) any more",
                        remedy: "fetch again: what was delivered may be incomplete")
                }
                guard error.kind == .noService || error.isConnectionLost else { throw error }
                pause(.milliseconds(100))
            }
        }
        throw SluiceError(
            .serviceTrouble, "the service went away before it said how job \(id) ended",
            remedy: "fetch again: what was delivered may be incomplete")
    }
}
