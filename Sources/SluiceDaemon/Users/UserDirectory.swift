internal import Glibc
internal import SystemPackage

/// What the machine's user directory says about one user (nsswitch.conf(5)).
struct UserIdentity: Sendable, Equatable {
    /// The keys in the settings that mean this user: the user ID and, if there is one, the name.
    var names: Set<String>
    /// Those of the requested groups that the user is in.
    var memberships: Set<String>
    /// The directory has an entry for the user. A user without one may be a subordinate ID of another user (subuid(5))
    /// and have that user's groups.
    var hasEntry = true
}

/// The directory of users and groups: files, systemd, or a server on the network. Every call may block until that
/// server answers.
enum UserDirectory {
    /// The largest entry that is read, in bytes. The lookup of a larger one fails.
    private static let largestEntry = 1 << 20
    /// The maximum number of groups that a user can be in (`NGROUPS_MAX`, limits.h).
    private static let mostGroups = 65536

    /// Looks up a user, and which of these groups the user is in (getpwuid_r(3), getgrouplist(3)).
    ///
    /// For a user without an entry only the user ID is known, and no groups.
    ///
    /// - Parameter groups: names and group IDs.
    /// - Returns: nil if the directory does not answer.
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

    /// Those of these names that no user has. Names for which the directory does not answer are left out.
    static func unknown(users: [String]) -> [String] {
        users.filter { UInt32($0) == nil && isMissing(userID(named: $0)) }
    }

    /// Those of these names or IDs that no group has. Those for which the directory does not answer are left out.
    static func unknown(groups: [String]) -> [String] {
        groups.filter { isMissing(groupID($0)) }
    }

    private static func isMissing<Value>(_ result: Result<Value?, Errno>) -> Bool {
        if case .success(nil) = result { true } else { false }
    }

    // MARK: Entries

    private static func user(_ userID: UInt32) -> Result<(name: String, groupID: UInt32)?, Errno> {
        entry(passwd()) { entry in
            entry.pw_name.map { (String(cString: $0), entry.pw_gid) }
        } read: {
            getpwuid_r(userID, $0, $1, $2, $3)
        }
    }

    private static func userID(named name: String) -> Result<UInt32?, Errno> {
        entry(passwd(), \.pw_uid) { getpwnam_r(name, $0, $1, $2, $3) }
    }

    private static func groupID(_ name: String) -> Result<UInt32?, Errno> {
        guard let number = UInt32(name) else {
            return entry(group(), \.gr_gid) { getgrnam_r(name, $0, $1, $2, $3) }
        }
        // A number needs no lookup. It is looked up all the same, because getgrouplist(3) does not report whether the
        // directory answers.
        return entry(group(), \.gr_gid) { getgrgid_r(number, $0, $1, $2, $3) }.map { _ in number }
    }

    private static func groupIDs(of name: String, and groupID: UInt32) -> Set<UInt32> {
        var room = 64
        while true {
            var groups = [gid_t](repeating: 0, count: room)
            var count = CInt(room)
            if getgrouplist(name, groupID, &groups, &count) >= 0 {
                return Set(groups.prefix(Int(max(0, count))))
            }
            // `count` is now the number of groups, or is unchanged if the directory does not report it.
            guard room < mostGroups else { return Set(groups) }
            room = min(mostGroups, max(Int(count), room * 2))
        }
    }

    /// Looks up an entry.
    ///
    /// - Parameters:
    ///   - take: returns the wanted part of the entry, while the strings that it points to are valid.
    ///   - read: calls getpwnam_r(3) or a function like it. A result of 0 without an entry means that there is no
    ///     entry; glibc returns ENOENT and similar errors if the directory cannot be asked.
    private static func entry<Entry, Value>(
        _ blank: Entry, _ take: (Entry) -> Value?,
        read: (
            UnsafeMutablePointer<Entry>, UnsafeMutablePointer<CChar>, Int,
            UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>
        ) -> CInt
    ) -> Result<Value?, Errno> {
        var buffer = [CChar](repeating: 0, count: 4096)
        while true {
            var entry = blank
            var result: UnsafeMutablePointer<Entry>?
            var found: Value?
            let code = buffer.withUnsafeMutableBufferPointer { buffer -> CInt in
                guard let start = buffer.baseAddress else { return ERANGE }
                let code = read(&entry, start, buffer.count, &result)
                if let result { found = take(result.pointee) }
                return code
            }
            switch code {
            case 0: return .success(found)
            case EINTR: continue
            case ERANGE where buffer.count < largestEntry:
                buffer = Array(repeating: 0, count: buffer.count * 4)
            default: return .failure(Errno(rawValue: code))
            }
        }
    }
}
