internal import Unix

/// One job's entry in the service manager's store.
final class StoredEntry {
    /// The entry's name in the store.
    let name: String
    /// The file with the job's record (`StoredJob`).
    var record: RecordFile
    /// The job's ledger and staging pipe are in the store, too.
    var hasAccount: Bool

    init(name: String, record: consuming RecordFile, hasAccount: Bool) {
        self.name = name
        self.record = record
        self.hasAccount = hasAccount
    }
}
