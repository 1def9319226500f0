public import SluiceInterface

/// Reports about jobs as they arrive, also across restarts of the service. Not thread-safe.
public final class JobFollower {
    private let id: String?
    private let interval: Double?
    private let path: String
    private let onLoss: () -> Void
    private var patience: Patience
    private var watch: JobWatch?
    private var isLost = false

    /// Starts to watch. The connection belongs to the follower from now on.
    ///
    /// - Parameters:
    ///   - id: the job; nil for all jobs of the caller. Events of those while the service is away are not reported.
    ///   - interval: the minimum time between two reports of mere progress, in seconds: 0.1 to 3600.
    ///   - patience: how long to look for a service that has gone away. The time begins anew with each loss.
    ///   - pause: waits between two attempts to find it.
    ///   - onLoss: called when the service has gone away, before the follower looks for it.
    /// - Throws: as `SluiceConnection.watch`.
    public init(
        _ id: String?, interval: Double?, on connection: SluiceConnection,
        patience: Duration = Patience.standard,
        pause: @escaping (Duration) -> Void = sleepWhole, onLoss: @escaping () -> Void = {}
    ) throws(SluiceError) {
        self.id = id
        self.interval = interval
        self.onLoss = onLoss
        self.patience = Patience(patience, pause: pause)
        path = connection.path
        do {
            watch = try connection.watch(id, interval: interval)
        } catch {
            guard error.isConnectionLost else { throw error }
        }
    }

    /// Waits for the next report.
    ///
    /// - Returns: nil after the last.
    /// - Throws: `.noSuchJob`; `.serviceTrouble` where the service does not come back, or comes back without the job.
    public func next() throws(SluiceError) -> Job? {
        while true {
            do {
                let watch = try current()
                let job = try watch.next()
                if job != nil { isLost = false }
                return job
            } catch {
                watch = nil
                try prepare(after: error)
            }
        }
    }

    private func current() throws(SluiceError) -> JobWatch {
        if let watch { return watch }
        let new = try SluiceConnection(connectedTo: path).watch(id, interval: interval)
        watch = new
        return new
    }

    private func prepare(after error: SluiceError) throws(SluiceError) {
        if isLost {
            if error.kind == .noSuchJob, let id { throw SluiceError(forgotten: id) }
            guard error.mayPass else { throw error }
        } else {
            guard error.isConnectionLost || error.isStopping else { throw error }
            isLost = true
            onLoss()
        }
        guard patience.lasts() else {
            throw SluiceError(
                .serviceTrouble, "the service went away and does not come back",
                remedy: "see whether it runs (systemctl status sluiced)")
        }
    }
}
