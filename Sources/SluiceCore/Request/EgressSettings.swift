extension Settings {
    /// Where jobs may connect to: lists for all users, and for single users and groups.
    ///
    /// Three steps apply to a user: the user's own lists, then those of all the user's groups together, then those for
    /// all users. In each step the lists of what is allowed come before the lists of what is denied.
    public struct Egress: Sendable, Equatable {
        /// What is allowed and denied.
        public struct Lists: Sendable, Equatable {
            /// The names of the keys in the file.
            public static let keys = ["allow_networks", "deny_networks", "allow_hosts", "deny_hosts"]

            /// Addresses, networks and words for them.
            public var allowNetworks: [String] = []
            /// Addresses, networks and words for them.
            public var denyNetworks: [String] = []
            /// Host names and domains.
            public var allowHosts: [String] = []
            /// Host names and domains.
            public var denyHosts: [String] = []

            /// Empty lists.
            public init() {}
        }

        /// Maximum number of entries in one list.
        public static let maximumEntries = 256
        /// Maximum size of the rules of one user, in bytes (`EgressRules.compact`): each order contains them.
        public static let maximumBytes = 32 << 10

        /// For all users.
        public var everyone: Lists
        /// Lists by the name or the number of a user.
        public var users: [String: Lists] = [:]
        /// Lists by the name or the number of a group.
        public var groups: [String: Lists] = [:]

        /// The defaults: networks that no job needs are denied.
        public init() {
            everyone = Lists()
            everyone.denyNetworks = [NetworkWord.linkLocal.rawValue, NetworkWord.metadata.rawValue]
        }

        /// Whether the rules differ between users.
        public var dependsOnUser: Bool { !users.isEmpty || !groups.isEmpty }

        /// The rules for a user.
        ///
        /// - Parameters:
        ///   - names: the keys of `users` that name the user: the name and the number.
        ///   - memberships: the keys of `groups` that name groups of the user.
        public func rules(names: Set<String>, memberships: Set<String>) -> EgressRules {
            EgressRules(
                Self.rules(users.filter { names.contains($0.key) }, "egress.users")
                    + Self.rules(groups.filter { memberships.contains($0.key) }, "egress.groups")
                    + Self.rules(["": everyone], "egress"))
        }

        /// The rules for a user about whom nothing is known, because the user database does not answer: what only some
        /// users or groups are allowed is not allowed, and what any user or group is denied is denied.
        ///
        /// - Parameter names: the keys of `users` that certainly name the user. Their lists apply as they are.
        public func strictestRules(names: Set<String> = []) -> EgressRules {
            func denying(_ lists: [String: Lists]) -> [String: Lists] {
                lists.mapValues { one in
                    var denials = one
                    denials.allowNetworks = []
                    denials.allowHosts = []
                    return denials
                }
            }
            let own = users.filter { names.contains($0.key) }
            let others = users.filter { !names.contains($0.key) }
            let strict = EgressRules(
                Self.rules(own, "egress.users") + Self.rules(denying(others), "egress.users")
                    + Self.rules(denying(groups), "egress.groups") + Self.rules(["": everyone], "egress"))
            guard strict.compact.utf8.count > Self.maximumBytes else { return strict }
            // The rules are too large for an order, so nothing is allowed.
            var nothing = Lists()
            nothing.denyNetworks = ["any"]
            nothing.denyHosts = ["any"]
            return EgressRules(Self.rules(["": nothing], "egress"))
        }

        private static func rules(_ lists: [String: Lists], _ section: String) -> [EgressRules.Rule] {
            let sorted = lists.sorted { $0.key < $1.key }.map { name, lists in
                (name.isEmpty ? section : "\(section).\(name)", lists)
            }
            func rules(allowing allows: Bool) -> [EgressRules.Rule] {
                sorted.flatMap { section, lists in
                    let hosts = allows ? lists.allowHosts : lists.denyHosts
                    let networks = allows ? lists.allowNetworks : lists.denyNetworks
                    return hosts.compactMap { try? EgressEntry(host: $0) }.map {
                        EgressRules.Rule(allows: allows, isOfHosts: true, section: section, entry: $0)
                    }
                        + networks.compactMap { try? EgressEntry(network: $0) }.map {
                            EgressRules.Rule(allows: allows, isOfHosts: false, section: section, entry: $0)
                        }
                }
            }
            return rules(allowing: true) + rules(allowing: false)
        }
    }
}

extension Settings.Egress {
    /// The settings that are invalid, by their names in the file.
    func problems() -> [RequestError] {
        var problems = everyone.problems("egress")
        for (kind, section) in [("users", users), ("groups", groups)] {
            for (name, lists) in section.sorted(by: { $0.key < $1.key }) {
                guard LoginName.isOne(name) else {
                    problems.append(LoginName.problem(name, in: "egress.\(kind)"))
                    continue
                }
                problems += lists.problems("egress.\(kind).\(name)")
            }
        }
        guard problems.isEmpty else { return problems }
        let bytes = mostBytes
        if bytes > Self.maximumBytes {
            problems.append(
                RequestError(
                    parameter: "egress", reason: "the rules of one user can have up to \(bytes) bytes",
                    remedy: "use fewer entries: at most \(Self.maximumBytes) bytes are allowed"))
        }
        return problems
    }

    /// The size of the rules of a user who is in all groups.
    private var mostBytes: Int {
        let shared = rules(names: [], memberships: Set(groups.keys)).compact.utf8.count
        let own = users.keys.map { name in
            rules(names: [name], memberships: []).compact.utf8.count
        }
        return shared + (own.max() ?? 0)
    }
}

extension Settings.Egress.Lists {
    fileprivate func problems(_ section: String) -> [RequestError] {
        var problems: [RequestError] = []
        func check(
            _ key: String, _ entries: [String],
            _ read: (String) throws(EgressEntry.Problem) -> EgressEntry
        ) {
            guard entries.count <= Settings.Egress.maximumEntries else {
                problems.append(
                    RequestError(
                        parameter: "\(section).\(key)", reason: "there are \(entries.count) entries",
                        remedy: "use at most \(Settings.Egress.maximumEntries)"))
                return
            }
            for entry in entries {
                do throws(EgressEntry.Problem) {
                    _ = try read(entry)
                } catch {
                    problems.append(
                        RequestError(
                            parameter: "\(section).\(key)", reason: error.reason, remedy: error.remedy))
                }
            }
        }
        check("allow_networks", allowNetworks) { text throws(EgressEntry.Problem) in
            try EgressEntry(network: text)
        }
        check("deny_networks", denyNetworks) { text throws(EgressEntry.Problem) in
            try EgressEntry(network: text)
        }
        check("allow_hosts", allowHosts) { text throws(EgressEntry.Problem) in
            try EgressEntry(host: text)
        }
        check("deny_hosts", denyHosts) { text throws(EgressEntry.Problem) in
            try EgressEntry(host: text)
        }
        return problems
    }
}
