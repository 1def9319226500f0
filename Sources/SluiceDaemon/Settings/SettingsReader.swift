internal import SluiceCore
internal import SluiceInterface
internal import TOMLKit

/// The root table of one file.
struct SettingsTable {
    /// The path of a drop-in; nil for the file itself.
    let path: String?
    let table: TOMLTable
}

/// Takes the values out of the tables, and reports the keys that are left over.
struct SettingsReader {
    /// The tables in order of precedence. The last one that has a key wins.
    let tables: [SettingsTable]
    let path: String
    var known: [String: Set<String>] = [:]
    /// The problems of the file.
    private(set) var problems: [String] = []
    /// The problems of drop-ins.
    private(set) var dropInProblems: [String] = []
    /// The files that set the keys of users, groups and hosts, by the keys' names in messages.
    var namedPlaces: [String: String] = [:]
    /// All settings, in the order of the settings file that is shipped.
    var entries: [SettingsEntry] = []

    init(_ tables: [SettingsTable], path: String) {
        self.tables = tables
        self.path = path
    }

    /// Reports values that are out of range.
    mutating func note(_ found: [RequestError]) {
        guard !found.isEmpty else { return }
        var places: [String: String] = namedPlaces
        for entry in entries {
            if case .file(let place) = entry.source { places["\(entry.section).\(entry.key)"] = place }
        }
        for problem in found {
            // A key that no file sets is wrong because of another key's value. The file itself gets that problem.
            if let place = places[problem.parameter], place != path {
                dropInProblems.append("\(place): \(problem)")
            } else {
                problems.append(problem.description)
            }
        }
    }

    mutating func settings() -> Settings {
        var settings = Settings()
        optionalText("service", "socket", &settings.socket)
        access("service", "access", &settings.users.everyoneIsAllowed)
        integer("lanes", "minimum", &settings.lanes.minimum)
        integer("lanes", "maximum", &settings.lanes.maximum)
        seconds("lanes", "idle_seconds", &settings.lanes.idleSeconds)
        seconds("lanes", "end_seconds", &settings.lanes.endSeconds)
        optionalSeconds("lanes", "hang_seconds", &settings.lanes.hangSeconds)
        word("lanes", "nursery", &settings.lanes.nursery)
        size("gate", "high_watermark", &settings.gate.highWatermark)
        size("gate", "low_watermark", &settings.gate.lowWatermark)
        size("gate", "maximum_high_watermark", &settings.gate.maximumHighWatermark)
        seconds("gate", "stalled_after_seconds", &settings.gate.stalledAfterSeconds)
        seconds("timeouts", "connect_seconds", &settings.timeouts.connect)
        seconds("timeouts", "head_seconds", &settings.timeouts.head)
        seconds("timeouts", "silence_seconds", &settings.timeouts.silence)
        optionalSize("timeouts", "minimum_speed", &settings.timeouts.minimumSpeed)
        optionalSeconds("timeouts", "deadline_seconds", &settings.timeouts.deadline)
        seconds("timeouts", "maximum_connect_seconds", &settings.longest.connect)
        seconds("timeouts", "maximum_head_seconds", &settings.longest.head)
        seconds("timeouts", "maximum_silence_seconds", &settings.longest.silence)
        optionalSeconds("timeouts", "maximum_deadline_seconds", &settings.longest.deadline)
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
        optionalSize("limits", "maximum_size", &settings.limits.maximumSize)
        optionalInteger("limits", "lanes_per_user", &settings.limits.lanesPerUser)
        optionalSize("limits", "rate_per_user", &settings.limits.ratePerUser)
        optionalSize("limits", "rate", &settings.limits.rate)
        users("users", &settings.users.users)
        users("groups", &settings.users.groups)
        origins(&settings.origins)
        size("pipes", "grown_capacity", &settings.pipes.grownCapacity)
        optionalSize("pipes", "budget", &settings.pipes.budget)
        text("log", "level", &settings.logLevel)
        reportUnknown()
        return settings
    }

    // MARK: Values

    /// Keys by section that have another name now: they are accepted until 0.5.0.
    private static let formerKeys = [
        "timeouts": ["stall_seconds": "silence_seconds", "maximum_stall_seconds": "maximum_silence_seconds"]
    ]

    /// - Returns: the value, the key under which the file has it, and the path of the drop-in that sets it, which is nil
    ///   for the file; nil if no file sets it.
    private mutating func value(
        _ section: String, _ key: String
    ) -> (value: any TOMLValueConvertible, name: String, place: String?)? {
        known[section, default: []].insert(key)
        let former = Self.formerKeys[section]?.first { $0.value == key }?.key
        for one in tables.reversed() {
            guard let part = one.table[section]?.table else { continue }
            let old = former.flatMap { part[$0] }
            if let former, old != nil, part[key] != nil {
                tell("\(section).\(former): it is the former name of \(key): give only \(key)", one.path)
            }
            if let value = part[key] { return (value, key, one.path) }
            if let former, let old { return (old, former, one.path) }
        }
        return nil
    }

    mutating func tell(_ problem: String, _ place: String?) {
        if let place { dropInProblems.append("\(place): \(problem)") } else { problems.append(problem) }
    }

    /// Stores a value in the target, if a file sets it and `read` accepts it.
    mutating func take<Value>(
        _ section: String, _ key: String, _ target: inout Value, _ expected: String,
        _ show: (Value) -> String, _ read: (any TOMLValueConvertible) -> Value?
    ) {
        var source = SettingsEntry.Source.byDefault
        if let found = value(section, key) {
            source = .file(found.place ?? path)
            if let value = read(found.value) {
                target = value
            } else {
                tell("\(section).\(found.name): it is not \(expected)", found.place)
            }
        }
        entries.append(SettingsEntry(section: section, key: key, value: show(target), source: source))
    }

    private mutating func integer(_ section: String, _ key: String, _ target: inout Int) {
        take(section, key, &target, "a whole number", { String($0) }, { $0.int })
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
        take(section, key, &target, expected, SettingsEntry.show) { value in
            (value.double ?? value.int.map(Double.init)).flatMap { $0.isFinite ? $0 : nil }
        }
    }

    private mutating func size(_ section: String, _ key: String, _ target: inout Int) {
        take(section, key, &target, Self.sizeText, SettingsEntry.showSize, Self.size)
    }

    /// 0 stands for none.
    private mutating func optionalSeconds(_ section: String, _ key: String, _ target: inout Double?) {
        var value = target ?? 0
        seconds(section, key, &value)
        target = value == 0 ? nil : value
    }

    /// 0 stands for none.
    private mutating func optionalInteger(_ section: String, _ key: String, _ target: inout Int?) {
        var value = target ?? 0
        integer(section, key, &value)
        target = value == 0 ? nil : value
    }

    /// 0 stands for none.
    private mutating func optionalSize(_ section: String, _ key: String, _ target: inout Int?) {
        var value = target ?? 0
        size(section, key, &value)
        target = value == 0 ? nil : value
    }

    private mutating func text(_ section: String, _ key: String, _ target: inout String) {
        take(section, key, &target, "a text in quotes", SettingsEntry.show, { $0.string })
    }

    private mutating func word<Word: RawRepresentable & CaseIterable>(
        _ section: String, _ key: String, _ target: inout Word
    ) where Word.RawValue == String {
        let words = Word.allCases.map { SettingsEntry.show($0.rawValue) }
        let expected = words.dropLast().joined(separator: ", ") + " or \(words.last ?? "")"
        take(
            section, key, &target, expected, { SettingsEntry.show($0.rawValue) },
            { $0.string.flatMap(Word.init) })
    }

    private mutating func statuses(_ section: String, _ key: String, _ target: inout Set<Int>) {
        take(
            section, key, &target, "a list of statuses, such as [429, 503]",
            { "[\($0.sorted().map(String.init).joined(separator: ", "))]" },
            { value in Self.list(value) { $0.int }.map(Set.init) })
    }

    /// Names of header fields, which are the same in either case.
    private mutating func names(_ section: String, _ key: String, _ target: inout [String]) {
        take(
            section, key, &target, "a list of field names, such as [\"X-Api-Key\"]",
            { "[\($0.map(SettingsEntry.show).joined(separator: ", "))]" },
            { value in Self.list(value) { $0.string?.lowercased() } })
    }

    /// The elements of a list; nil if the value is not a list or has an element of a wrong type.
    static func list<Element>(
        _ value: any TOMLValueConvertible, _ read: (any TOMLValueConvertible) -> Element?
    ) -> [Element]? {
        guard let array = value.array else { return nil }
        var elements: [Element] = []
        for one in array {
            guard let element = read(one) else { return nil }
            elements.append(element)
        }
        return elements
    }

    private mutating func optionalText(_ section: String, _ key: String, _ target: inout String?) {
        var string = target ?? ""
        text(section, key, &string)
        target = string.isEmpty ? nil : string
    }

    // MARK: Unknown keys

    private mutating func reportUnknown() {
        for table in tables { reportUnknown(in: table) }
    }

    private mutating func reportUnknown(in one: SettingsTable) {
        for (section, value) in one.table {
            guard let keys = known[section] else {
                tell("\(section): there is no such section; there are \(list(known.keys))", one.path)
                continue
            }
            guard let part = value.table else {
                tell("\(section): it is not a section: write [\(section)]", one.path)
                continue
            }
            let former = Self.formerKeys[section] ?? [:]
            for (key, _) in part where !keys.contains(key) && former[key] == nil {
                tell("\(section).\(key): there is no such setting; there are \(list(keys))", one.path)
            }
        }
    }

    func list(_ names: some Sequence<String>) -> String {
        names.sorted().joined(separator: ", ")
    }
}
