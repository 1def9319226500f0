/// What the settings allow one user.
public struct UserShare: Sendable, Equatable {
    /// Whether the user may use the service at all.
    public var isAllowed = true
    /// Maximum number of lanes at once; nil for all.
    public var lanes: Int?
    /// Maximum number of jobs that have not ended.
    public var jobs: Int
    /// The user's weight. Users get lanes in proportion to their weights, and also bytes if the rate of all users is
    /// limited.
    public var weight = 1
    /// Bytes a second of all of the user's jobs together; nil for any.
    public var rate: Int?
    /// The largest body, in bytes; nil for any.
    public var maximumSize: Int?

    /// A share of a user who may use the service.
    public init(lanes: Int?, jobs: Int, weight: Int, rate: Int?, maximumSize: Int?) {
        self.lanes = lanes
        self.jobs = jobs
        self.weight = weight
        self.rate = rate
        self.maximumSize = maximumSize
    }
}

extension Settings {
    /// Who may use the service, and the settings of particular users and groups.
    ///
    /// A setting of the user counts first, then the most generous setting of the user's groups, then the setting for
    /// all users (`Limits`, `everyoneIsAllowed`). Root may always use the service.
    public struct Users: Sendable, Equatable {
        /// The settings of one user or group; nil for those that are not set.
        public struct Part: Sendable, Equatable {
            /// Whether the service may be used.
            public var isAllowed: Bool?
            /// Lanes at once: 1 to 1,024; 0 for all.
            public var lanes: Int?
            /// Jobs that have not ended: 1 to `Limits.jobs`.
            public var jobs: Int?
            /// The weight: 1 to 1,000.
            public var weight: Int?
            /// Bytes a second, in the range of `TokenBucket`; 0 for any.
            public var rate: Int?
            /// Bytes: 1 or more; 0 for any.
            public var maximumSize: Int?

            /// Nothing is set.
            public init() {}
        }

        /// The greatest weight.
        public static let greatestWeight = 1000
        /// Maximum number of users, and of groups, with settings of their own.
        public static let maximumNames = 1024

        /// Whether users without a setting of their own may use the service.
        public var everyoneIsAllowed = true
        /// Settings by the name or the number of a user.
        public var users: [String: Part] = [:]
        /// Settings by the name or the number of a group.
        public var groups: [String: Part] = [:]

        /// The defaults: all users may use the service, and no user or group has settings of its own.
        public init() {}

        /// What is wrong with the name of a user or a group; nil if it is valid.
        public static func problem(ofName name: String, in section: String) -> RequestError? {
            LoginName.isOne(name) ? nil : LoginName.problem(name, in: section)
        }

        /// Whether any setting differs between users.
        public var dependsOnUser: Bool { !users.isEmpty || !groups.isEmpty }
    }

    /// What a user may have.
    ///
    /// - Parameters:
    ///   - userID: the user's number.
    ///   - names: the keys of `users.users` that name the user: the name and the number.
    ///   - memberships: the keys of `users.groups` that name groups of the user. If it is nil, they are unknown: then
    ///     the strictest value counts, whether it is set for any group or for all users.
    ///   - isNameKnown: if it is false, the settings that name other users count in the same way.
    public func share(
        userID: UInt32, names: Set<String>, memberships: Set<String>?, isNameKnown: Bool = true
    ) -> UserShare {
        let own = users.users.filter { names.contains($0.key) }.sorted { $0.key < $1.key }.map(\.value)
        var groups = users.groups.filter { memberships?.contains($0.key) ?? true }.map(\.value)
        if !isNameKnown {
            groups += users.users.filter { !names.contains($0.key) && UInt32($0.key) == nil }.map(\.value)
        }
        /// - Parameter better: whether the first value is more generous than the second.
        func pick<Value>(
            _ part: (Users.Part) -> Value?, _ standard: Value, _ better: (Value, Value) -> Bool
        ) -> Value {
            if let value = own.lazy.compactMap(part).first { return value }
            let values = groups.compactMap(part)
            guard memberships != nil else {
                return (values + [standard]).max { better($0, $1) } ?? standard
            }
            return values.min { better($0, $1) } ?? standard
        }
        /// 0 stands for any value, and is greater than every limit.
        func limit(_ part: (Users.Part) -> Int?, _ standard: Int?) -> Int? {
            let value = pick(part, standard ?? 0) { $0 != $1 && ($0 == 0 || ($1 != 0 && $0 > $1)) }
            return value == 0 ? nil : value
        }
        var share = UserShare(
            lanes: limit(\.lanes, limits.lanesPerUser),
            jobs: min(limits.jobs, pick(\.jobs, limits.jobsPerUser, >)),
            weight: pick(\.weight, 1, >),
            rate: limit(\.rate, limits.ratePerUser),
            maximumSize: limit(\.maximumSize, limits.maximumSize))
        share.isAllowed = userID == 0 || pick(\.isAllowed, users.everyoneIsAllowed) { $0 && !$1 }
        return share
    }
}

extension Settings.Users {
    /// The settings that are invalid, by their names in the file.
    func problems(_ limits: Settings.Limits) -> [RequestError] {
        var problems: [RequestError] = []
        for (kind, parts) in [("users", users), ("groups", groups)] {
            if parts.count > Self.maximumNames {
                problems.append(
                    RequestError(
                        parameter: kind, reason: "there are settings for \(parts.count) \(kind)",
                        remedy: "name at most \(Self.maximumNames)"))
            }
            for (name, part) in parts.sorted(by: { $0.key < $1.key }) {
                guard LoginName.isOne(name) else {
                    problems.append(LoginName.problem(name, in: kind))
                    continue
                }
                problems += part.problems("\(kind).\(name)", limits)
            }
        }
        return problems
    }
}

extension Settings.Users.Part {
    fileprivate func problems(_ section: String, _ limits: Settings.Limits) -> [RequestError] {
        var problems: [RequestError] = []
        func check(_ key: String, _ value: Int?, _ range: ClosedRange<Int>, orNone: Bool = false) {
            guard let value, !range.contains(value), !(orNone && value == 0) else { return }
            problems.append(.outOfRange("\(section).\(key)", value, range, orNone: orNone))
        }
        check("lanes", lanes, 0...1024)
        check("jobs", jobs, 1...max(1, limits.jobs))
        check("weight", weight, 1...Settings.Users.greatestWeight)
        check("rate", rate, TokenBucket.leastRate...TokenBucket.greatestRate, orNone: true)
        check("maximum_size", maximumSize, 0...Int.max)
        return problems
    }
}

/// Names of users and groups in the settings.
enum LoginName {
    /// The longest name, in bytes.
    static let maximumLength = 64

    /// Whether a text is a valid name: visible ASCII, or a number without zeros in front, because numbers are compared
    /// as text. The name goes into messages and into the text of rules.
    static func isOne(_ name: String) -> Bool {
        if let number = UInt32(name), String(number) != name { return false }
        return (1...maximumLength).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x21...0x7e).contains($0) && $0 != UInt8(ascii: "\"") }
    }

    static func problem(_ name: String, in section: String) -> RequestError {
        RequestError(
            parameter: section, reason: "\(RequestURL.quote(name)) is not the name of one",
            remedy: "use a name, or a number without zeros in front, of at most \(maximumLength) bytes")
    }
}

extension RequestError {
    /// The error for a setting that is out of range.
    static func outOfRange<Value: Comparable>(
        _ name: String, _ value: Value, _ range: ClosedRange<Value>, orNone: Bool = false
    ) -> RequestError {
        RequestError(
            parameter: name, reason: "\(value) is out of range",
            remedy: "give a value from \(range.lowerBound) to \(range.upperBound)\(orNone ? ", or 0" : "")")
    }
}
