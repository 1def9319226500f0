public import SluiceInterface

/// Jobs as a table for users.
public enum JobTable {
    /// One line for the heading and one for each job; the URL comes last and is cut to the width.
    ///
    /// - Parameters:
    ///   - nowUsec: now, in µs since 1970, on the clock of the jobs' times.
    ///   - width: the width of the terminal; nil cuts nothing.
    ///   - userName: returns the user name of a job, for a column of its own; nil for no such column.
    public static func render(
        _ jobs: [Job], nowUsec: Int, width: Int? = nil, userName: ((Int) -> String)? = nil
    ) -> String {
        var rows = [["ID", "STATE", "BYTES", "SIZE", "RATE", "AGE", "URL"]]
        for job in jobs { rows.append(row(job, nowUsec)) }
        if let userName {
            // The column stands before the URL, which is cut at the end of the line.
            rows[0].insert("USER", at: 6)
            for (index, job) in jobs.enumerated() {
                rows[index + 1].insert(Terminal.printable(userName(job.userID)), at: 6)
            }
        }
        let columns = rows[0].count
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for column in 0..<columns {
                if column > 0 { line += "  " }
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                switch column {
                case 2...5: line += padding + row[column]
                case columns - 1: line += row[column]
                default: line += row[column] + padding
                }
            }
            return width.map { String(line.prefix(max(1, $0))) } ?? line
        }.joined(separator: "\n") + "\n"
    }

    private static func row(_ job: Job, _ nowUsec: Int) -> [String] {
        [
            Terminal.printable(job.id),
            state(of: job, nowUsec),
            ByteSize.describe(job.bytesDelivered),
            job.contentLength.map { ByteSize.describe($0) } ?? "-",
            JobTimes.rate(of: job, nowUsec: nowUsec) ?? "-",
            Elapsed.brief(JobTimes.seconds(from: job.createdUsec, to: nowUsec)),
            Terminal.printable(job.url),
        ]
    }

    /// The state, and the time at which a waiting job continues.
    private static func state(of job: Job, _ nowUsec: Int) -> String {
        guard job.state == .waiting, let retry = job.retryUsec else { return word(for: job) }
        return "waiting (\(Elapsed.countdown(JobTimes.seconds(from: nowUsec, to: retry))))"
    }

    /// The state; for a failed job, the reason.
    static func word(for job: Job) -> String {
        guard let outcome = job.outcome else { return job.state.rawValue }
        switch outcome.code {
        case .complete, .cancelled: return job.state.rawValue
        case .completeUnverified: return "complete (unverified)"
        default: return "\(job.state.rawValue) (\(outcome.code.rawValue))"
        }
    }
}

/// Durations computed from a job's times.
enum JobTimes {
    /// Never negative, since a clock may be set back.
    static func seconds(from start: Int, to end: Int) -> Double {
        max(0, (Double(end) - Double(start)) / 1e6)
    }

    /// How long it has run, or ran; nil before it started.
    static func running(_ job: Job, nowUsec: Int) -> Double? {
        job.startedUsec.map { seconds(from: $0, to: job.finishedUsec ?? nowUsec) }
    }

    /// The job's rate since it started.
    static func rate(of job: Job, nowUsec: Int) -> String? {
        guard job.bytesDelivered > 0, let seconds = running(job, nowUsec: nowUsec) else { return nil }
        return Elapsed.rate(bytes: job.bytesDelivered, seconds: seconds)
    }
}
