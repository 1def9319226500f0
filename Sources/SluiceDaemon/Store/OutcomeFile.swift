internal import Glibc
public import SluiceInterface
public import SystemPackage
internal import Unix

/// Why outcomes cannot be kept at the moment.
public enum OutcomeFileError: Error, Equatable, CustomStringConvertible {
    /// Another process has locked the directory.
    case inUse(path: String)
    /// The file's name belongs to something that is not a regular file.
    case notAFile(path: String)
    /// A system call failed.
    case system(path: String, call: String, errno: Errno)

    /// The sentence for the log.
    public var description: String {
        switch self {
        case .inUse(let path): "\(path) is in use by another process"
        case .notAFile(let path): "\(path) is not a regular file: move it away"
        case .system(let path, let call, let errno): "\(path): \(call): \(errno)"
        }
    }
}

/// The jobs that have ended, in a file, so that the service still knows them after a restart.
///
/// The file has one line of JSON for each job, a `Job` of the interface, the newest last. Lines are only appended,
/// until there are more than twice the lines that are needed. Then the needed ones are written to a second file, which
/// replaces the first (`rename(2)`). Lines that cannot be read are skipped.
///
/// The file is not synced: it survives the end of the process at any moment, but a crash of the machine may lose the
/// newest outcomes. An outcome costs two system calls. A compaction copies the lines that are needed, and happens at
/// most once for that number of new outcomes.
///
/// While the file cannot be written, up to `mostWaiting` bytes of outcomes wait in memory. Each new outcome makes the
/// daemon try again.
///
/// It must not be shared between threads. Only one process may use the directory at a time, which is locked
/// (`flock(2)`).
public final class OutcomeFile {
    /// What was found in the file.
    public struct Contents {
        /// At most `limit` jobs for each user, in the order in which they ended.
        public var jobs: [Job] = []
        /// The number of lines that are not valid jobs.
        public var skipped = 0
        /// Why the file cannot be used; nil if it can.
        public var problem: OutcomeFileError?
    }

    /// An event that belongs in the log.
    public enum Note: Equatable, Sendable {
        /// From now on outcomes are not kept. Reported once for each reason.
        case failing(OutcomeFileError)
        /// Outcomes are kept again. `lost` of them did not fit into memory meanwhile.
        case recovered(lost: Int)
    }

    /// The file's name in the directory.
    public static let name = "outcomes.jsonl"
    /// The maximum number of bytes that wait in memory while the file cannot be written.
    public static let mostWaiting = 256 * 1024
    /// The maximum number of bytes that are read, from the end of the file.
    static let mostRead = 64 * 1024 * 1024
    /// A file with at most this number of lines is not compacted.
    static let fewLines = 64

    /// The number of jobs of each user that are needed. May change at any time.
    public var limit: Int {
        didSet { for user in kept.keys { trim(user) } }
    }

    private let directory: String
    private var storage: OutcomeStorage?
    /// The places of each user's needed lines in the file, the oldest first.
    private var kept: [UInt32: FIFO<OutcomeStorage.Extent>] = [:]
    /// The number of lines in the file, needed or not.
    private var lines = 0
    /// After a compaction failed, it is not tried again until the file has more lines than this; 0 if none has failed.
    private var compactAt = 0
    private var waiting = FIFO<(user: UInt32, line: [UInt8])>()
    private var waitingBytes = 0
    private var lost = 0
    private var problem: OutcomeFileError?

    /// - Parameters:
    ///   - directory: an existing directory that belongs to this service alone (`$STATE_DIRECTORY`).
    ///   - limit: the number of jobs of each user that are needed; 0 or more.
    public init(directory: String, limit: Int) {
        self.directory = directory
        self.limit = limit
    }

    /// Reads the file. Called once, at the start. Costs some milliseconds for each 1,000 jobs that are needed.
    public func load() -> Contents {
        var contents = Contents()
        do {
            let text = try readAll()
            contents.jobs = text.jobs(limit: limit, skipped: &contents.skipped)
            try compactIfDue()
        } catch {
            problem = error
            contents.problem = error
        }
        return contents
    }

    /// Adds a job that has ended.
    ///
    /// - Returns: a change in the state of the file; nil for none.
    public func append(_ ended: EndedJob) -> Note? {
        guard limit > 0, let user = UInt32(exactly: ended.job.userID), let text = ended.json else {
            return nil
        }
        waiting.append((user, text + [UInt8(ascii: "\n")]))
        waitingBytes += text.count + 1
        while waitingBytes > Self.mostWaiting, let oldest = waiting.first {
            waiting.removeFirst()
            waitingBytes -= oldest.line.count
            lost += 1
        }
        return flush()
    }

    /// Tries again to write the outcomes that wait.
    ///
    /// - Returns: a change in the state of the file; nil for none.
    public func flush() -> Note? {
        do {
            try writeWaiting()
            try compactIfDue()
        } catch {
            defer { problem = error }
            return problem == error ? nil : .failing(error)
        }
        // While a failed compaction has not succeeded, the file has not recovered.
        guard problem != nil, compactAt == 0 else { return nil }
        defer { lost = 0 }
        problem = nil
        return .recovered(lost: lost)
    }

    private func writeWaiting() throws(OutcomeFileError) {
        // An administrator may have emptied or removed the file.
        if storage?.isUnchanged() != true { _ = try readAll() }
        guard waiting.first != nil else { return }
        let bytes = waiting.reduce(into: []) { $0 += $1.line }
        guard var offset = try storage?.append(bytes) else { return }
        for (user, line) in waiting {
            kept[user, default: FIFO()].append(.init(offset: offset, length: line.count))
            trim(user)
            offset += line.count
            lines += 1
        }
        waiting = FIFO()
        waitingBytes = 0
    }

    /// Opens the file again and finds its lines.
    private func readAll() throws(OutcomeFileError) -> OutcomeText {
        // Close the old storage first, because its lock would keep the new one from locking the directory.
        storage = nil
        storage = try OutcomeStorage(directory: directory, name: Self.name)
        let (offset, bytes) = try storage?.readTail(Self.mostRead) ?? (0, [])
        let text = OutcomeText(bytes, at: offset)
        kept = [:]
        lines = text.count
        compactAt = 0
        for line in text.lines {
            kept[line.user, default: FIFO()].append(line.range)
            trim(line.user)
        }
        return text
    }

    private func trim(_ user: UInt32) {
        while let count = kept[user]?.count, count > limit { kept[user]?.removeFirst() }
        if kept[user]?.first == nil { kept[user] = nil }
    }

    private func compactIfDue() throws(OutcomeFileError) {
        let needed = kept.values.reduce(0) { $0 + $1.count }
        guard lines > max(2 * needed, Self.fewLines, compactAt) else { return }
        let ranges = kept.values.joined().sorted { $0.offset < $1.offset }
        do {
            try storage?.replace(
                with: ranges.merged(), name: Self.name, temporary: Self.name + ".new")
        } catch {
            compactAt = lines + max(needed, Self.fewLines)
            throw error
        }
        // The order is unchanged, so each line begins where the previous one ends.
        var places: [Int: Int] = [:]
        var end = 0
        for range in ranges {
            places[range.offset] = end
            end += range.length
        }
        kept = kept.mapValues { ranges in
            ranges.reduce(into: FIFO()) { moved, range in
                moved.append(.init(offset: places[range.offset] ?? 0, length: range.length))
            }
        }
        lines = ranges.count
        compactAt = 0
    }
}

extension [OutcomeStorage.Extent] {
    /// Merges adjacent extents, so that they are read at once.
    fileprivate func merged() -> [Element] {
        reduce(into: []) { merged, range in
            if let last = merged.last, last.end == range.offset {
                merged[merged.count - 1].length += range.length
            } else {
                merged.append(range)
            }
        }
    }
}
