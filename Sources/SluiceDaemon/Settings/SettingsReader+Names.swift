internal import SluiceCore
internal import SluiceInterface
internal import TOMLKit

/// Sections with names that the administrator chooses: users, groups and hosts.
extension SettingsReader {
    /// A section of one file.
    struct NamedPart {
        let name: String
        let table: TOMLTable
        /// The section's name in messages.
        let section: String
        /// The section's name in TOML, between brackets.
        let heading: String
        /// The path of the drop-in; nil for the file.
        let place: String?
    }

    /// A key of such a section.
    struct NamedKey<Target> {
        let name: String
        /// What its value must be, for messages.
        let expected: String
        /// Stores a value in the target and returns its TOML text; nil if the value has a wrong type.
        let take: (any TOMLValueConvertible, inout Target) -> String?
    }

    static let listOfTexts = "a list of texts, such as [\"192.0.2.0/24\"]"
    static let sizeText = "a size, such as 65536 or \"64K\""

    static func size(_ value: any TOMLValueConvertible) -> Int? {
        value.int ?? value.string.flatMap { ByteSize.parse($0) }
    }

    static func show(_ texts: [String]) -> String {
        "[\(texts.map(SettingsEntry.show).joined(separator: ", "))]"
    }

    /// Reads the named tables within a table. A value in a later file replaces the value of the same key and name in an
    /// earlier one.
    ///
    /// - Parameters:
    ///   - parent: the table's name in messages.
    ///   - values: the keys of the table that are not names.
    ///   - problem: returns what is wrong with a name; nil if it is valid.
    ///   - find: returns the table within a file's root table.
    mutating func named<Target>(
        _ parent: String, beside values: Set<String> = [], _ keys: [NamedKey<Target>],
        _ target: inout [String: Target], _ blank: Target, checking problem: (String) -> RequestError?,
        in find: (TOMLTable) -> (any TOMLValueConvertible)?
    ) {
        var found = NamedEntries()
        defer { entries += found.all }
        for one in tables {
            guard let value = find(one.table) else { continue }
            guard let names = value.table else {
                tell("\(parent): it is not a table for each name", one.path)
                continue
            }
            for (name, value) in names where !values.contains(name) {
                if let problem = problem(name) {
                    tell(problem.description, one.path)
                    continue
                }
                guard target[name] != nil || target.count < Self.mostNames else {
                    tell("\(parent): there are more than \(Self.mostNames) names", one.path)
                    break
                }
                let section = "\(parent).\(name)"
                guard let table = value.table else {
                    let others = values.isEmpty ? "" : "; there are \(list(values))"
                    tell("\(section): it is not a section: write [\(section)]\(others)", one.path)
                    continue
                }
                let isBare = name.utf8.allSatisfy { byte in
                    byte < 0x80 && (Character(Unicode.Scalar(byte)).isLetter || byte.isBareDigit)
                }
                let part = NamedPart(
                    name: name, table: table, section: section,
                    heading: isBare ? section : "\(parent).\(SettingsEntry.show(name))", place: one.path)
                read(part, keys, &target[name, default: blank], &found)
            }
        }
    }

    private mutating func read<Target>(
        _ part: NamedPart, _ keys: [NamedKey<Target>], _ target: inout Target, _ found: inout NamedEntries
    ) {
        for (name, value) in part.table {
            let place = "\(part.section).\(name)"
            guard let key = keys.first(where: { $0.name == name }) else {
                // [origins.example.org] without quotes is the table `org` in the table `example`.
                let hint =
                    value.table == nil
                    ? "there are \(list(keys.map(\.name)))" : "names with dots need quotes"
                tell("\(place): there is no such setting; \(hint)", part.place)
                continue
            }
            guard let shown = key.take(value, &target) else {
                tell("\(place): it is not \(key.expected)", part.place)
                continue
            }
            namedPlaces[place] = part.place ?? path
            found.add(
                SettingsEntry(
                    section: part.heading, key: name, value: shown, source: .file(part.place ?? path)))
        }
    }

    /// The maximum number of users, of groups or of hosts that settings may name.
    private static let mostNames = 1024

    /// Entries grouped by section, so that each section has one heading.
    private struct NamedEntries {
        private var sections: [String] = []
        private var entries: [String: [SettingsEntry]] = [:]

        var all: [SettingsEntry] { sections.flatMap { entries[$0] ?? [] } }

        /// Adds an entry, in place of an earlier one of the same key.
        mutating func add(_ entry: SettingsEntry) {
            if entries[entry.section] == nil { sections.append(entry.section) }
            entries[entry.section, default: []].removeAll { $0.key == entry.key }
            entries[entry.section]?.append(entry)
        }
    }

    // MARK: Access

    private static let accessText = "\"allow\" or \"deny\""

    private static func access(_ value: any TOMLValueConvertible) -> Bool? {
        switch value.string {
        case "allow": true
        case "deny": false
        default: nil
        }
    }

    private static func show(access: Bool) -> String {
        access ? "\"allow\"" : "\"deny\""
    }

    mutating func access(_ section: String, _ key: String, _ target: inout Bool) {
        take(section, key, &target, Self.accessText, Self.show(access:), Self.access)
    }

    /// `[users.NAME]` and `[groups.NAME]`.
    mutating func users(_ section: String, _ target: inout [String: Settings.Users.Part]) {
        typealias Key = NamedKey<Settings.Users.Part>
        func number(_ name: String, _ path: WritableKeyPath<Settings.Users.Part, Int?>) -> Key {
            Key(name: name, expected: "a whole number") { value, part in
                guard let number = value.int else { return nil }
                part[keyPath: path] = number
                return String(number)
            }
        }
        func size(_ name: String, _ path: WritableKeyPath<Settings.Users.Part, Int?>) -> Key {
            Key(name: name, expected: Self.sizeText) { value, part in
                guard let size = Self.size(value) else { return nil }
                part[keyPath: path] = size
                return SettingsEntry.showSize(size)
            }
        }
        let access = Key(name: "access", expected: Self.accessText) { value, part in
            guard let isAllowed = Self.access(value) else { return nil }
            part.isAllowed = isAllowed
            return Self.show(access: isAllowed)
        }
        let keys = [
            access, number("lanes", \.lanes), number("jobs", \.jobs), number("weight", \.weight),
            size("rate", \.rate), size("maximum_size", \.maximumSize),
        ]
        named(
            section, keys, &target, Settings.Users.Part(),
            checking: { Settings.Users.problem(ofName: $0, in: section) }
        ) { $0[section] }
        known[section, default: []].formUnion(target.keys)
        noteNames(of: section)
    }

    /// `[origins]` and `[origins.HOST]`.
    mutating func origins(_ origins: inout Settings.Origins) {
        var (connections, rate) = (0, 0)
        take("origins", "connections", &connections, "a whole number", { String($0) }, { $0.int })
        take("origins", "rate", &rate, Self.sizeText, SettingsEntry.showSize, Self.size)
        origins.everyone.connections = connections == 0 ? nil : connections
        origins.everyone.rate = rate == 0 ? nil : rate
        typealias Key = NamedKey<Settings.Origins.Limits>
        let keys = [
            Key(name: "connections", expected: "a whole number") { value, limits in
                limits.connections = value.int
                return value.int.map { String($0) }
            },
            Key(name: "rate", expected: Self.sizeText) { value, limits in
                limits.rate = Self.size(value)
                return limits.rate.map(SettingsEntry.showSize)
            },
            Key(name: "client_certificate", expected: "a text in quotes") { value, limits in
                limits.clientCertificate = value.string
                return value.string.map(SettingsEntry.show)
            },
        ]
        var hosts: [String: Settings.Origins.Limits] = [:]
        named(
            "origins", beside: ["connections", "rate"], keys, &hosts, Settings.Origins.Limits(),
            checking: Settings.Origins.problem(ofName:)
        ) { $0["origins"] }
        origins.hosts = hosts
        noteNames(of: "origins")
    }

    /// Marks the named sections as known, because they have been read or reported already.
    private mutating func noteNames(of section: String) {
        for one in tables {
            for (name, _) in one.table[section]?.table ?? TOMLTable() {
                known[section, default: []].insert(name)
            }
        }
    }

    // MARK: Egress

    private static var egressLists: [(String, WritableKeyPath<Settings.Egress.Lists, [String]>)] {
        [
            ("allow_networks", \.allowNetworks), ("deny_networks", \.denyNetworks),
            ("allow_hosts", \.allowHosts), ("deny_hosts", \.denyHosts),
        ]
    }

    mutating func egress(_ egress: inout Settings.Egress) {
        for (key, path) in Self.egressLists {
            take(
                "egress", key, &egress.everyone[keyPath: path], Self.listOfTexts, Self.show,
                { value in Self.list(value) { $0.string } })
        }
        let keys = Self.egressLists.map { key, path in
            NamedKey<Settings.Egress.Lists>(name: key, expected: Self.listOfTexts) { value, lists in
                guard let texts = Self.list(value, { $0.string }) else { return nil }
                lists[keyPath: path] = texts
                return Self.show(texts)
            }
        }
        known["egress", default: []].formUnion(["users", "groups"])
        named(
            "egress.users", keys, &egress.users, Settings.Egress.Lists(),
            checking: { Settings.Users.problem(ofName: $0, in: "egress.users") }
        ) { $0["egress"]?.table?["users"] }
        named(
            "egress.groups", keys, &egress.groups, Settings.Egress.Lists(),
            checking: { Settings.Users.problem(ofName: $0, in: "egress.groups") }
        ) { $0["egress"]?.table?["groups"] }
    }
}

extension UInt8 {
    /// The characters besides letters that a bare key may have (toml.io, "Keys").
    fileprivate var isBareDigit: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || self == UInt8(ascii: "-")
            || self == UInt8(ascii: "_")
    }
}
