internal import SluiceCore
internal import SluiceInterface
internal import UnixSockets

/// Where jobs may connect to.
extension Scheduler {
    /// Puts a job into the queue as soon as it is known where it may connect to.
    func admit(_ job: JobRecord) {
        job.wantsLane = false
        egress.whenKnown(job.owner.userID) { [weak self] in
            guard let self, job.machine.outcome == nil else { return }
            putIntoQueue(job)
            dispatch()
        }
    }

    /// Tells the administrator of a connection that was denied.
    func noteDenial(_ job: JobRecord, _ facts: EndFacts) {
        guard facts.outcome.code == .addressDenied else { return }
        log.addressDenied(job, facts)
    }
}
