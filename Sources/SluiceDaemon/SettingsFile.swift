internal import Glibc
public import SluiceCore
internal import SluiceInterface
internal import SystemPackage
internal import TOMLKit
internal import UnixSockets

/// What is wrong with a settings file: all of it at once, each with its key.
public struct SettingsFileError: Error, Equatable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// One line for each problem.
    public let problems: [String]

    /// The lines, each with the file in front.
    public var description: String {
        problems.map { "\(path): \($0)" }.joined(separator: "\n")
    }
}

/// Reads `sluiced.toml` (toml.io): strictly, once.
///
/// Precedence: what the file says, else the default of `Settings`. A file that is missing is an error, for it was named.
/// A key that is unknown, a value of a wrong type and a value out of range are errors that name the key; so is a file
/// that is not TOML. Nothing is taken over from a file with an error.
public enum SettingsFile {
    /// The largest file that is read, in bytes.
    public static let maximumSize = 1 << 20

    /// Reads a file.
    ///
    /// - Throws: `SettingsFileError`.
    public static func read(path: String) throws(SettingsFileError) -> Settings {
        let bytes: [UInt8]
        do {
            bytes = try contents(of: path)
        } catch {
            throw SettingsFileError(path: path, problems: [error.sentence])
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SettingsFileError(path: path, problems: ["it is not UTF-8"])
        }
        return try parse(text, path: path)
    }

    /// Reads the text of a file.
    ///
    /// - Throws: `SettingsFileError` about `path`.
    public static func parse(_ text: String, path: String) throws(SettingsFileError) -> Settings {
        if let line = lineWithoutTableName(text) {
            throw SettingsFileError(
                path: path, problems: ["line \(line): it is not TOML: a table has no name"])
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw SettingsFileError(
                path: path,
                problems: ["line \(error.source.begin.line): it is not TOML: \(error.description)"])
        } catch {
            throw SettingsFileError(path: path, problems: ["it is not TOML: \(error)"])
        }
        var reader = SettingsReader(table)
        let settings = reader.settings()
        let problems = reader.problems + settings.problems().map(\.description)
        guard problems.isEmpty else { throw SettingsFileError(path: path, problems: problems) }
        return settings
    }

    /// The first line that begins like the head of a table, and goes on with what can begin no key.
    ///
    /// The library stops the process there (toml++ 3.4, an assertion in `parse_key`). What it would take all the same, such
    /// as a line of a text in three quotes, no setting needs.
    private static func lineWithoutTableName(_ text: String) -> Int? {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let index = lines.firstIndex { line in
            var rest = line.drop { $0 == " " || $0 == "\t" || $0 == "\u{FEFF}" }
            guard rest.first == "[" else { return false }
            rest = rest.dropFirst()
            if rest.first == "[" { rest = rest.dropFirst() }
            rest = rest.drop { $0 == " " || $0 == "\t" }
            guard let first = rest.unicodeScalars.first else { return true }
            switch first {
            case "A"..."Z", "a"..."z", "0"..."9", "-", "_", "\"", "'": return false
            default: return true
            }
        }
        return index.map { $0 + 1 }
    }

    /// Why a file cannot be taken.
    private enum ReadFailure: Error {
        case notAFile
        case tooLarge
        case system(Errno)

        var sentence: String {
            switch self {
            case .notAFile: "it is not a regular file"
            case .tooLarge: "it is larger than \(SettingsFile.maximumSize) bytes"
            case .system(.noSuchFileOrDirectory): "it cannot be read: there is no such file"
            case .system(.permissionDenied): "it cannot be read: permission denied"
            case .system(let errno): "it cannot be read: \(errno)"
            }
        }
    }

    /// Never waits: a service that reads its settings again has something else to do than to wait at a FIFO, or to read
    /// from a device without end.
    private static func contents(of path: String) throws(ReadFailure) -> [UInt8] {
        let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard number >= 0 else { throw .system(Errno(rawValue: errno)) }
        let file = OwnedDescriptor(adopting: number)
        var status = stat()
        guard fstat(file.rawValue, &status) == 0 else { throw .system(Errno(rawValue: errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
        var bytes = [UInt8](repeating: 0, count: maximumSize + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                Glibc.read(file.rawValue, buffer.baseAddress?.advanced(by: count), buffer.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(Errno(rawValue: errno)) }
            if got == 0 { return Array(bytes[..<count]) }
            count += got
        }
        throw .tooLarge
    }
}

/// Takes the values out of the tables, and sees what is left over.
private struct SettingsReader {
    private let table: TOMLTable
    private var known: [String: Set<String>] = [:]
    private(set) var problems: [String] = []

    init(_ table: TOMLTable) {
        self.table = table
    }

    mutating func settings() -> Settings {
        var settings = Settings()
        optionalText("service", "socket", &settings.socket)
        integer("lanes", "minimum", &settings.lanes.minimum)
        integer("lanes", "maximum", &settings.lanes.maximum)
        seconds("lanes", "idle_seconds", &settings.lanes.idleSeconds)
        seconds("lanes", "end_seconds", &settings.lanes.endSeconds)
        var hang = settings.lanes.hangSeconds ?? 0
        seconds("lanes", "hang_seconds", &hang)
        settings.lanes.hangSeconds = hang == 0 ? nil : hang
        size("gate", "high_watermark", &settings.gate.highWatermark)
        size("gate", "low_watermark", &settings.gate.lowWatermark)
        size("gate", "maximum_high_watermark", &settings.gate.maximumHighWatermark)
        seconds("gate", "stalled_after_seconds", &settings.gate.stalledAfterSeconds)
        seconds("timeouts", "connect_seconds", &settings.timeouts.connect)
        seconds("timeouts", "head_seconds", &settings.timeouts.head)
        seconds("timeouts", "stall_seconds", &settings.timeouts.stall)
        var speed = settings.timeouts.minimumSpeed ?? 0
        size("timeouts", "minimum_speed", &speed)
        settings.timeouts.minimumSpeed = speed == 0 ? nil : speed
        var deadline = settings.timeouts.deadline ?? 0
        seconds("timeouts", "deadline_seconds", &deadline)
        settings.timeouts.deadline = deadline == 0 ? nil : deadline
        integer("retries", "retries", &settings.retries.retries)
        statuses("retries", "statuses", &settings.retries.statuses)
        seconds("retries", "base_seconds", &settings.retries.pauses.base)
        seconds("retries", "longest_seconds", &settings.retries.pauses.longest)
        seconds("retries", "longest_retry_after_seconds", &settings.retries.pauses.longestRetryAfter)
        integer("redirects", "limit", &settings.redirects.limit)
        names("redirects", "credential_fields", &settings.redirects.credentialFields)
        egress(&settings.egress)
        seconds("parking", "after_seconds", &settings.parking.afterSeconds)
        share("parking", "holding_share", &settings.parking.holdingShare)
        seconds("restart", "store_after_seconds", &settings.restart.storeAfterSeconds)
        seconds("restart", "drain_seconds", &settings.restart.drainSeconds)
        integer("limits", "jobs", &settings.limits.jobs)
        integer("limits", "jobs_per_user", &settings.limits.jobsPerUser)
        integer("limits", "remembered_jobs_per_user", &settings.limits.rememberedJobsPerUser)
        integer("limits", "connections", &settings.limits.connections)
        integer("limits", "connections_per_user", &settings.limits.connectionsPerUser)
        var maximumSize = settings.limits.maximumSize ?? 0
        size("limits", "maximum_size", &maximumSize)
        settings.limits.maximumSize = maximumSize == 0 ? nil : maximumSize
        size("pipes", "grown_capacity", &settings.pipes.grownCapacity)
        var budget = settings.pipes.budget ?? 0
        size("pipes", "budget", &budget)
        settings.pipes.budget = budget == 0 ? nil : budget
        text("log", "level", &settings.logLevel)
        reportUnknown()
        return settings
    }

    private mutating func value(_ section: String, _ key: String) -> (any TOMLValueConvertible)? {
        known[section, default: []].insert(key)
        guard let part = table[section] else { return nil }
        return part.table?[key]
    }

    private mutating func wrong(_ section: String, _ key: String, _ expected: String) {
        problems.append("\(section).\(key): it is not \(expected)")
    }

    private mutating func integer(_ section: String, _ key: String, _ target: inout Int) {
        guard let value = value(section, key) else { return }
        guard let number = value.int else { return wrong(section, key, "a whole number") }
        target = number
    }

    private mutating func seconds(_ section: String, _ key: String, _ target: inout Double) {
        number(section, key, &target, "a number of seconds")
    }

    private mutating func share(_ section: String, _ key: String, _ target: inout Double) {
        number(section, key, &target, "a number, such as 0.5")
    }

    private mutating func number(
        _ section: String, _ key: String, _ target: inout Double, _ expected: String
    ) {
        guard let value = value(section, key) else { return }
        guard let number = value.double ?? value.int.map(Double.init), number.isFinite else {
            return wrong(section, key, expected)
        }
        target = number
    }

    private mutating func size(_ section: String, _ key: String, _ target: inout Int) {
        guard let value = value(section, key) else { return }
        guard let bytes = value.int ?? value.string.flatMap({ ByteSize.parse($0) }) else {
            return wrong(section, key, "a size, such as 65536 or \"64K\"")
        }
        target = bytes
    }

    private mutating func text(_ section: String, _ key: String, _ target: inout String) {
        guard let value = value(section, key) else { return }
        guard let string = value.string else { return wrong(section, key, "a text in quotes") }
        target = string
    }

    private mutating func statuses(_ section: String, _ key: String, _ target: inout Set<Int>) {
        guard let value = value(section, key) else { return }
        let numbers = value.array.map { $0.map(\.int) } ?? [nil]
        guard !numbers.contains(nil) else {
            return wrong(section, key, "a list of statuses, such as [429, 503]")
        }
        target = Set(numbers.compactMap { $0 })
    }

    /// Names of header fields, which are the same in either case.
    private mutating func names(_ section: String, _ key: String, _ target: inout [String]) {
        guard let value = value(section, key) else { return }
        let texts = value.array.map { $0.map(\.string) } ?? [nil]
        guard !texts.contains(nil) else {
            return wrong(section, key, "a list of field names, such as [\"X-Api-Key\"]")
        }
        target = texts.compactMap { $0?.lowercased() }
    }

    private mutating func egress(_ egress: inout Settings.Egress) {
        for (key, path) in Self.egressLists {
            guard let value = value("egress", key) else { continue }
            if let entries = entries("egress.\(key)", value) { egress.everyone[keyPath: path] = entries }
        }
        namedLists("users", &egress.users)
        namedLists("groups", &egress.groups)
    }

    private static var egressLists: [(String, WritableKeyPath<Settings.Egress.Lists, [String]>)] {
        [
            ("allow_networks", \.allowNetworks), ("deny_networks", \.denyNetworks),
            ("allow_hosts", \.allowHosts), ("deny_hosts", \.denyHosts),
        ]
    }

    /// Lists of entries, by the name of a user or a group.
    private mutating func namedLists(_ key: String, _ target: inout [String: Settings.Egress.Lists]) {
        guard let value = value("egress", key) else { return }
        guard let names = value.table else { return wrong("egress", key, "a table for each name") }
        for (name, value) in names {
            let section = "egress.\(key).\(name)"
            guard let part = value.table else {
                problems.append("\(section): it is not a section: write [\(section)]")
                continue
            }
            var lists = Settings.Egress.Lists()
            for (key, value) in part {
                guard let path = Self.egressLists.first(where: { $0.0 == key })?.1 else {
                    let known = list(Self.egressLists.map(\.0))
                    problems.append("\(section).\(key): there is no such setting; there are \(known)")
                    continue
                }
                if let entries = entries("\(section).\(key)", value) { lists[keyPath: path] = entries }
            }
            target[name] = lists
        }
    }

    private mutating func entries(_ name: String, _ value: any TOMLValueConvertible) -> [String]? {
        let texts = value.array.map { $0.map(\.string) } ?? [nil]
        guard !texts.contains(nil) else {
            problems.append("\(name): it is not a list of texts, such as [\"192.0.2.0/24\"]")
            return nil
        }
        return texts.compactMap { $0 }
    }

    private mutating func optionalText(_ section: String, _ key: String, _ target: inout String?) {
        var string = target ?? ""
        text(section, key, &string)
        target = string.isEmpty ? nil : string
    }

    private mutating func reportUnknown() {
        for (section, value) in table {
            guard let keys = known[section] else {
                problems.append("\(section): there is no such section; there are \(list(known.keys))")
                continue
            }
            guard let part = value.table else {
                problems.append("\(section): it is not a section: write [\(section)]")
                continue
            }
            for (key, _) in part where !keys.contains(key) {
                problems.append("\(section).\(key): there is no such setting; there are \(list(keys))")
            }
        }
    }

    private func list(_ names: some Sequence<String>) -> String {
        names.sorted().joined(separator: ", ")
    }
}
