extension Settings {
    /// Where jobs may connect to: lists for all users, and for single users and groups.
    ///
    /// Three steps hold for a user: the user's own lists, then those of all the user's groups together, then those for all
    /// users. In each step the lists of what is allowed are looked at before the lists of what is denied.
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

            /// Empty ones.
            public init() {}
        }

        /// The most entries of one list.
        public static let maximumEntries = 256
        /// The most bytes that the rules of one user may have (`EgressRules.compact`): they go along with each order.
        public static let maximumBytes = 32 << 10

        /// For all users.
        public var everyone: Lists
        /// By the name of a user, or a user's number.
        public var users: [String: Lists] = [:]
        /// By the name of a group, or a group's number.
        public var groups: [String: Lists] = [:]

        /// The defaults: what no job has to do with is denied.
        public init() {
            everyone = Lists()
            everyone.denyNetworks = [NetworkWord.linkLocal.rawValue, NetworkWord.metadata.rawValue]
        }

        /// Whether the rules depend on who asks.
        public var dependsOnUser: Bool { !users.isEmpty || !groups.isEmpty }

        /// The rules that hold for a user.
        ///
        /// - Parameters:
        ///   - names: of `users`, those that are the user's: the name, the number.
        ///   - memberships: of `groups`, those that the user is in.
        public func rules(names: Set<String>, memberships: Set<String>) -> EgressRules {
            EgressRules(
                Self.rules(users.filter { names.contains($0.key) }, "egress.users")
                    + Self.rules(groups.filter { memberships.contains($0.key) }, "egress.groups")
                    + Self.rules(["": everyone], "egress"))
        }

        /// The rules for a user of whom nothing is known, because the directory of users does not answer: nothing that
        /// only some may do is allowed, and what is denied to any user or group is denied.
        ///
        /// - Parameter names: of `users`, those that are certainly the user's: their lists hold as they are.
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
            // More than goes along with an order: then nothing is allowed.
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
    /// What is wrong, by the names of the file.
    func problems() -> [RequestError] {
        var problems = everyone.problems("egress")
        for (kind, section) in [("users", users), ("groups", groups)] {
            for (name, lists) in section.sorted(by: { $0.key < $1.key }) {
                guard AccountName.isOne(name) else {
                    problems.append(AccountName.problem(name, in: "egress.\(kind)"))
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
                    parameter: "egress", reason: "the rules of one user can have \(bytes) bytes together",
                    remedy: "use fewer entries: \(Self.maximumBytes) bytes are the most"))
        }
        return problems
    }

    /// Of the rules of a user who is in all groups.
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
