internal import SluiceInterface

/// Which jobs are asked for.
struct JobSelection {
    /// How many jobs a page has at most, and where nothing is said.
    static let limits = 1...500
    static let standardLimit = 100
    /// How much a page may be, in bytes; the last job may go beyond it.
    static let maximumBytes = 128 << 10
    /// How many jobs are looked at for a page.
    static let maximumScan = 2000

    /// Who asks.
    var asker: UInt32
    /// The user whose jobs are asked for; nil for all jobs that the asker may see.
    var userID: UInt32?
    var activeOnly = false
    var states: Set<JobState>?
    /// In `limits`.
    var limit = standardLimit
    /// Only jobs behind this one, by sequence number.
    var after = -1

    /// The users whose jobs are looked at.
    func users(among known: some Sequence<UInt32>) -> [UInt32] {
        if asker != 0 { return userID ?? asker == asker ? [asker] : [] }
        if let userID { return [userID] }
        return Array(known)
    }
}

/// A part of a list of jobs.
struct JobPage {
    var jobs: [Job] = []
    /// The last job that was looked at, by sequence number; nil where there is none behind it.
    var next: Int?
}

extension Job {
    /// About as many bytes as it takes, in memory or as JSON.
    var weight: Int {
        var bytes = 512 + url.utf8.count + (outcome?.message.utf8.count ?? 0) + (etag?.utf8.count ?? 0)
        for attempt in attemptLog { bytes += 96 + (attempt.message?.utf8.count ?? 0) }
        return bytes
    }
}
