internal import Glibc
public import Logging

/// A swift-log backend for a system service: structured entries in the journal, lines on standard error elsewhere.
///
/// An entry has MESSAGE (the message, followed by the metadata as `key=value`), PRIORITY, SYSLOG_IDENTIFIER,
/// CODE_FILE, CODE_LINE, CODE_FUNC and a field for each key of the metadata:
///
/// * A key that is a valid upper-case field name stays as it is: `SLUICE_JOB`, `MESSAGE_ID`, `ERRNO`.
/// * Any other key is upper-cased and prefixed: `http-status` → `SLUICE_HTTP_STATUS`.
/// * Of equal keys, the call's own wins over the metadata provider's, and the provider's over the logger's.
///
/// Levels map to `syslog(3)` priorities: trace and debug 7, info 6, notice 5, warning 4, error 3, critical 2.
///
/// A log call never fails and, to the journal, never waits: entries that journald has no room for wait in memory, up
/// to 8 MiB of records (`isRecord`) and 1 MiB of others. Further entries are dropped and counted, and the next entry
/// that gets through reports their number. Values are cut at 16 KiB, and an entry has at most 64 fields. Each line on
/// standard error is one `write(2)`, with control characters escaped; there a reader that stops reading does block
/// the caller.
///
/// A value type, as swift-log requires. Any thread may log.
public struct JournalLogHandler: LogHandler {
    /// Keys that go with every entry of this logger.
    public var metadata: Logger.Metadata = [:]
    /// Asked at each entry for more metadata, such as the current job.
    public var metadataProvider: Logger.MetadataProvider?
    /// Less important entries are not logged.
    public var logLevel: Logger.Level = .info

    /// Whether entries are records, which other entries must not displace: where journald is slow, records wait in
    /// memory when other entries are already dropped.
    public var isRecord = false

    /// Number of entries of this process that journald had no room for.
    public static var droppedEntries: UInt64 { JournalSocket.shared.lostInAll.entries }

    /// Number of records among them.
    public static var droppedRecords: UInt64 { JournalSocket.shared.lostInAll.records }

    /// Whether journald takes entries more slowly than this process writes them, so that records will be lost if this
    /// goes on.
    public static var isJournalBehind: Bool { JournalSocket.shared.isBehind }

    /// Waits until journald has what was logged, but no longer than `time`. For the end of a process.
    public static func flush(within time: Duration) {
        JournalSocket.shared.flush(within: time)
    }

    /// Whether entries go to the journal and not to standard error.
    public var isJournal: Bool { destination == .journal }

    private let identifier: String
    private let destination: LogDestination
    private let droppedMessageID: String?

    /// A handler for one program.
    ///
    /// - Parameters:
    ///   - identifier: SYSLOG_IDENTIFIER, by which `journalctl -t` selects; each plain line begins with it.
    ///   - destination: the default is determined once per process, with `LogDestination.detect()`.
    ///   - droppedMessageID: MESSAGE_ID of the entry that reports dropped ones.
    ///   - metadataProvider: adds fields to each entry.
    public init(
        identifier: String, destination: LogDestination = .detect(), droppedMessageID: String? = nil,
        metadataProvider: Logger.MetadataProvider? = nil
    ) {
        self.identifier = identifier
        self.destination = destination
        self.droppedMessageID = droppedMessageID
        self.metadataProvider = metadataProvider
    }

    /// The `LogHandler` requirement: one key of `metadata`.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// The `LogHandler` requirement: logs one event.
    public func log(event: LogEvent) {
        var inherited = metadata
        if let provided = metadataProvider?.get() { inherited.merge(provided) { $1 } }
        let record = LogRecord(event, inherited: inherited)
        switch destination {
        case .journal:
            JournalSocket.shared.send(
                record.journalFields(identifier: identifier), isRecord: isRecord, report: report)
        case .prefixedLines:
            Self.write(record.line(identifier: identifier, withPriority: true))
        case .plainLines:
            Self.write(record.line(identifier: identifier, withPriority: false))
        }
    }

    private func report(_ losses: JournalLosses) -> [JournalField] {
        var fields = [JournalField("SLUICE_DROPPED", String(losses.entries))]
        if losses.records > 0 { fields.append(JournalField("SLUICE_RECORDS_LOST", String(losses.records))) }
        if let droppedMessageID { fields.append(JournalField("MESSAGE_ID", droppedMessageID)) }
        let record = LogRecord(
            level: losses.records > 0 ? .error : .warning,
            message: "log messages dropped, the journal did not take them", fields: fields)
        return record.journalFields(identifier: identifier)
    }

    private static func write(_ line: String) {
        var line = line
        line.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let count = Glibc.write(STDERR_FILENO, start, rest.count)
                if count < 0, errno == EINTR { continue }
                // A failure cannot be reported anywhere. It also occurs where standard error is non-blocking and
                // full.
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
        }
    }
}
