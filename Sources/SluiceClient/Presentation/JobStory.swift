public import SluiceInterface

/// The events of a job in their order, as far as the service remembers them, for users who may not read the journal.
public enum JobStory {
    /// A line for each event, the oldest first. Of many attempts the service remembers only the latest.
    public static func lines(_ job: Job) -> [String] {
        var lines: [String] = []
        func add(_ usec: Int, _ text: String) {
            lines.append(Terminal.printable("\(JobDetails.moment(usec))  \(text)"))
        }
        add(job.createdUsec, "job accepted: \(job.url)")
        if let first = job.attemptLog.first, first.number > 1 {
            add(first.startedUsec, "\(first.number - 1) earlier attempts are not remembered")
        }
        for attempt in job.attemptLog {
            let place = attempt.position > 0 ? " at byte \(attempt.position)" : ""
            add(attempt.startedUsec, "attempt \(attempt.number) began\(place)")
            guard let ended = attempt.endedUsec else { continue }
            let isLast = attempt.number == job.attempts && job.outcome != nil
            // This end is the end of the job itself.
            guard !isLast || job.finishedUsec == nil else { continue }
            let status = attempt.httpStatus.map { " (HTTP \($0))" } ?? ""
            let reason = attempt.code.map { "\($0.rawValue): \(attempt.message ?? "")" }
            add(ended, "attempt \(attempt.number) ended\(status): \(reason ?? "the job was parked")")
        }
        if let usec = job.finishedUsec, let outcome = job.outcome {
            add(
                usec,
                "job \(job.state.rawValue): \(outcome.code.rawValue): \(outcome.message); "
                    + "\(JobDetails.bytes(job.bytesDelivered)) delivered")
        }
        return lines
    }
}
