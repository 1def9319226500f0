internal import Glibc
internal import SystemPackage

/// What the machine's directory of users says about one of them (nsswitch.conf(5)).
struct UserIdentity: Sendable, Equatable {
    /// The keys of `egress.users` that mean this user: the number, and the name where there is one.
    var names: Set<String>
    /// Of the groups that were asked about, those that the user is in.
    var memberships: Set<String>
    /// The directory has an entry. A user without one may be another one's subordinate (subuid(5)), and in groups of that.
    var hasEntry = true
}

/// The directory of users and groups: files, systemd, or a server on the network. Every call may wait for that server.
enum UserDirectory {
    /// No directory has longer entries; one that has is not understood.
    private static let largestEntry = 1 << 20
    /// The most groups that a user can be in (`NGROUPS_MAX`, limits.h).
    private static let mostGroups = 65536

    /// Who a user is, and in which of these groups (getpwuid_r(3), getgrouplist(3)).
    ///
    /// A user without an entry has the number alone, and the groups are not known.
    ///
    /// - Parameter groups: names and numbers.
    /// - Returns: nil where the directory does not answer.
    static func identity(of userID: UInt32, among groups: [String]) -> UserIdentity? {
        guard case .success(let entry) = user(userID) else { return nil }
        guard let entry else {
            return UserIdentity(names: ["\(userID)"], memberships: [], hasEntry: false)
        }
        let memberships = groupIDs(of: entry.name, and: entry.groupID)
        var identity = UserIdentity(names: [entry.name, "\(userID)"], memberships: [])
        for group in groups {
            guard case .success(let number) = groupID(group) else { return nil }
            if let number, memberships.contains(number) { identity.memberships.insert(group) }
        }
        return identity
    }

    /// Which of these names no user, or no group, has. Names that the directory says nothing about are not among them.
    static func unknown(users: [String], groups: [String]) -> [String] {
        func isMissing<Value>(_ result: Result<Value?, Errno>) -> Bool {
            if case .success(nil) = result { true } else { false }
        }
        let missingUsers = users.filter { UInt32($0) == nil && isMissing(userID(named: $0)) }
        let missingGroups = groups.filter { isMissing(groupID($0)) }
        return missingUsers.map { "egress.users.\($0)" } + missingGroups.map { "egress.groups.\($0)" }
    }

    // MARK: Entries

    private static func user(_ userID: UInt32) -> Result<(name: String, groupID: UInt32)?, Errno> {
        entry { buffer, found in
            guard let start = buffer.baseAddress else { return ERANGE }
            var entry = passwd()
            var result: UnsafeMutablePointer<passwd>?
            let code = getpwuid_r(userID, &entry, start, buffer.count, &result)
            if result != nil, let name = entry.pw_name { found = (String(cString: name), entry.pw_gid) }
            return code
        }
    }

    private static func userID(named name: String) -> Result<UInt32?, Errno> {
        entry { buffer, found in
            guard let start = buffer.baseAddress else { return ERANGE }
            var entry = passwd()
            var result: UnsafeMutablePointer<passwd>?
            let code = getpwnam_r(name, &entry, start, buffer.count, &result)
            if result != nil { found = entry.pw_uid }
            return code
        }
    }

    private static func groupID(_ name: String) -> Result<UInt32?, Errno> {
        if let number = UInt32(name) { return isAnswered(number) }
        return entry { buffer, found in
            guard let start = buffer.baseAddress else { return ERANGE }
            var entry = group()
            var result: UnsafeMutablePointer<group>?
            let code = getgrnam_r(name, &entry, start, buffer.count, &result)
            if result != nil { found = entry.gr_gid }
            return code
        }
    }

    /// A number needs no looking up; but whether there is an answer at all getgrouplist(3) does not say.
    private static func isAnswered(_ number: UInt32) -> Result<UInt32?, Errno> {
        let probe: Result<UInt32?, Errno> = entry { buffer, found in
            guard let start = buffer.baseAddress else { return ERANGE }
            var entry = group()
            var result: UnsafeMutablePointer<group>?
            return getgrgid_r(number, &entry, start, buffer.count, &result)
        }
        return probe.map { _ in number }
    }

    private static func groupIDs(of name: String, and groupID: UInt32) -> Set<UInt32> {
        var room = 64
        while true {
            var groups = [gid_t](repeating: 0, count: room)
            var count = CInt(room)
            if getgrouplist(name, groupID, &groups, &count) >= 0 {
                return Set(groups.prefix(Int(max(0, count))))
            }
            // `count` is how many there are, or what it was where a directory does not say.
            guard room < mostGroups else { return Set(groups) }
            room = min(mostGroups, max(Int(count), room * 2))
        }
    }

    /// - Parameter read: looks an entry up in a buffer, sets what it found, and returns an error number, of which 0 also
    ///   stands for no entry.
    private static func entry<Value>(
        _ read: (UnsafeMutableBufferPointer<CChar>, inout Value?) -> CInt
    ) -> Result<Value?, Errno> {
        var size = 4096
        while true {
            var found: Value?
            let code = withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { read($0, &found) }
            switch code {
            // glibc says 0 for "no entry". ENOENT and its like are of a directory that cannot be asked.
            case 0: return .success(found)
            case EINTR: continue
            case ERANGE where size < largestEntry: size *= 4
            default: return .failure(Errno(rawValue: code))
            }
        }
    }
}

/// A thread for one call that may wait.
enum LookupThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// - Returns: false where there can be no thread.
    static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let box = Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
