internal import SluiceInterface

/// Describes the attempts of a job, for users.
enum JobAttempts {
    /// Adds a line with their number, one for each known attempt, and one for the start of the next attempt.
    static func describe(_ job: Job, nowUsec: Int, _ add: (String, String) -> Void) {
        let left = max(0, job.attempts) - job.attemptLog.count
        let isCut = left > 0 && !job.attemptLog.isEmpty
        add("Attempts", "\(job.attempts)" + (isCut ? " (the first \(left) are not listed)" : ""))
        for attempt in job.attemptLog { add("Attempt \(attempt.number)", line(attempt, job, nowUsec)) }
        guard job.state == .waiting else { return }
        var text = "as soon as the service's pause is over"
        if let retry = job.retryUsec {
            let pause = Elapsed.countdown(JobTimes.seconds(from: nowUsec, to: retry))
            text = "in \(pause) (\(JobDetails.moment(retry)))"
        }
        add("Next attempt", text)
    }

    /// `waits 3 s for attempt 2: the connection was reset`
    static func next(_ job: Job, nowUsec: Int) -> String {
        let pause = job.retryUsec.map { Elapsed.countdown(JobTimes.seconds(from: nowUsec, to: $0)) }
        return next(job, in: pause)
    }

    /// The same for a pause whose text is already known.
    static func next(_ job: Job, in pause: String?) -> String {
        let next = job.attempts < .max ? job.attempts + 1 : job.attempts
        let text = "waits \(pause.map { "\($0) " } ?? "")for attempt \(next)"
        guard let last = job.attemptLog.last, let reason = last.message ?? last.code?.rawValue else {
            return text
        }
        return "\(text): \(reason)"
    }

    /// Says when it began, at which byte, what the origin answered, and how it ended.
    private static func line(_ attempt: Attempt, _ job: Job, _ nowUsec: Int) -> String {
        var text = "\(JobDetails.moment(attempt.startedUsec)), from byte \(attempt.position)"
        if let status = attempt.httpStatus { text += ", HTTP \(status)" }
        guard let ended = attempt.endedUsec else {
            return job.state.isFinal ? text : text + ", under way"
        }
        let span = Elapsed.brief(JobTimes.seconds(from: attempt.startedUsec, to: ended))
        guard let code = attempt.code else { return text + ", parked after \(span)" }
        text += ", \(code.rawValue) after \(span)"
        if let message = attempt.message { text += ": \(message)" }
        return text
    }
}
