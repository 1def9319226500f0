internal import SluiceInterface

/// Which jobs a client asks for.
struct JobSelection {
    /// The limits that a client may set to the number of jobs in a page.
    static let limits = 1...500
    /// The limit if the client sets none.
    static let standardLimit = 100
    /// The maximum size of a page, in bytes. The last job may exceed it.
    static let maximumBytes = 128 << 10
    /// The maximum number of jobs that are looked at for a page.
    static let maximumScan = 2000

    /// The user who asks.
    var asker: UInt32
    /// The user whose jobs are asked for; nil for all jobs that the asker may see.
    var userID: UInt32?
    var activeOnly = false
    var states: Set<JobState>?
    /// The maximum number of jobs in the page, within `limits`.
    var limit = standardLimit
    /// Selects only jobs with a higher sequence number than this.
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
    /// The sequence number of the last job that was looked at; nil if no job follows it.
    var next: Int?
}

extension Job {
    /// The approximate size of the job, in bytes, in memory or as JSON.
    var weight: Int {
        var bytes = 512 + url.utf8.count + (outcome?.message.utf8.count ?? 0) + (etag?.utf8.count ?? 0)
        for attempt in attemptLog { bytes += 96 + (attempt.message?.utf8.count ?? 0) }
        return bytes
    }
}
