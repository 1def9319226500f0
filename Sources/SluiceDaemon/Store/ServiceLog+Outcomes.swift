internal import Logging

extension ServiceLog {
    func outcomesRead(_ contents: OutcomeFile.Contents) {
        if let problem = contents.problem { outcomes(.failing(problem)) }
        guard contents.skipped > 0 else { return }
        write(
            .warning, .outcomesUnreadable,
            "lines in the file of outcomes cannot be read, and were passed over",
            ["SLUICE_REASON": "\(contents.skipped) lines"])
    }

    func outcomes(_ note: OutcomeFile.Note) {
        switch note {
        case .failing(let reason):
            write(
                .error, .outcomesNotKept, "outcomes cannot be kept for a restart",
                ["SLUICE_REASON": "\(reason)"])
        case .recovered(let lost):
            write(
                .notice, .outcomesKeptAgain, "outcomes are kept again", ["SLUICE_REASON": "\(lost) were lost"]
            )
        }
    }
}
