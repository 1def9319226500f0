internal import Glibc
internal import SystemPackage

/// What the machine's directory of users says about one of them (nsswitch.conf(5)).
struct UserIdentity: Sendable, Equatable {
    /// The keys of the settings that mean this user: the number, and the name where there is one.
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

    /// Which of these names no user has. Names that the directory says nothing about are not among them.
    static func unknown(users: [String]) -> [String] {
        users.filter { UInt32($0) == nil && isMissing(userID(named: $0)) }
    }

    /// Which of these names, or numbers, no group has. Those that the directory says nothing about are not among them.
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
        // A number needs no looking up; but whether there is an answer at all getgrouplist(3) does not say.
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
            // `count` is how many there are, or what it was where a directory does not say.
            guard room < mostGroups else { return Set(groups) }
            room = min(mostGroups, max(Int(count), room * 2))
        }
    }

    /// Looks an entry up.
    ///
    /// - Parameters:
    ///   - take: what is wanted of it, as long as its texts are there.
    ///   - read: one of the functions of `getpwnam_r(3)` and its like. 0 without an entry is "no entry": glibc has ENOENT and
    ///     its like for a directory that cannot be asked.
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
