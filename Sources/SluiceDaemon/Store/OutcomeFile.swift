internal import Glibc
public import SluiceInterface
public import SystemPackage
internal import UnixSockets

/// Why outcomes cannot be kept at the moment.
public enum OutcomeFileError: Error, Equatable, CustomStringConvertible {
    /// Another process has the directory.
    case inUse(path: String)
    /// Something else has the file's name.
    case notAFile(path: String)
    /// A system call refused.
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

/// The jobs that have ended, in a file, so that a service that has been restarted still knows them.
///
/// One line of JSON for each, a `Job` of the interface, the newest last; only ever added to, until it has more than
/// twice the lines that are needed: then the needed ones are written to a second file that takes the first one's
/// place (`rename(2)`). Lines that cannot be read are skipped, whatever they hold.
///
/// Nothing is synced: the file outlasts the process at any moment, and a crash of the machine may take the newest
/// outcomes with it. An outcome costs two system calls; a compaction reads and writes what is needed, once for as many
/// outcomes as it keeps.
///
/// Where the file cannot be written, up to `mostWaiting` bytes of outcomes wait in memory, and each new one is a new try.
///
/// Not to be shared between threads. One process at a time: the directory is locked (`flock(2)`).
public final class OutcomeFile {
    /// What was found in the file.
    public struct Contents {
        /// At most `limit` for each user, in the order in which they ended.
        public var jobs: [Job] = []
        /// Lines that are no jobs.
        public var skipped = 0
        /// Why there is nothing, if that is not because there was nothing.
        public var problem: OutcomeFileError?
    }

    /// Worth a line in the log.
    public enum Note: Equatable, Sendable {
        /// From now on outcomes are not kept; said once.
        case failing(OutcomeFileError)
        /// They are again; so many could not wait.
        case recovered(lost: Int)
    }

    /// In the directory.
    public static let name = "outcomes.jsonl"
    /// Bytes of outcomes that wait in memory while the file cannot be written.
    public static let mostWaiting = 256 * 1024
    /// Bytes of the file that are read, from its end.
    static let mostRead = 64 * 1024 * 1024
    /// A file of so few lines is not worth a compaction.
    static let fewLines = 64

    /// Jobs of each user that are needed. May change at any time.
    public var limit: Int {
        didSet { for user in kept.keys { trim(user) } }
    }

    private let directory: String
    private var storage: OutcomeStorage?
    /// Where the needed lines of each user are, the oldest first.
    private var kept: [UInt32: FIFO<OutcomeStorage.Extent>] = [:]
    /// In the file, whatever they hold.
    private var lines = 0
    /// A compaction that failed is not tried again before there are so many lines.
    private var compactAt = 0
    private var waiting = FIFO<(user: UInt32, line: [UInt8])>()
    private var waitingBytes = 0
    private var lost = 0
    private var problem: OutcomeFileError?

    /// - Parameters:
    ///   - directory: exists, and is this service's alone (`$STATE_DIRECTORY`).
    ///   - limit: jobs of each user that are needed, from 0 on.
    public init(directory: String, limit: Int) {
        self.directory = directory
        self.limit = limit
    }

    /// Reads what is there. Once, at the start; costs some milliseconds for each 1,000 jobs that are needed.
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
    /// - Returns: what is new about the file itself.
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

    /// Tries again to write what waits, as one does on the way out.
    public func flush() -> Note? {
        do {
            try writeWaiting()
            try compactIfDue()
        } catch {
            defer { problem = error }
            return problem == error ? nil : .failing(error)
        }
        // A compaction that is still to be tried again is no recovery.
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

    /// Opens the file where it is not open, and finds out where its lines are.
    private func readAll() throws(OutcomeFileError) -> OutcomeText {
        // The old one first: its lock is in the new one's way.
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
        // The order is the same, so each line's new place is behind those before it.
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
    /// Neighbours made one, so that they are read at once.
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
