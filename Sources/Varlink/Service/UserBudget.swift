internal import UnixSockets

/// Bytes that are kept for clients, counted by user: what one user has used up is missing to that user alone.
///
/// Belongs to the loop's thread.
struct UserBudget {
    /// For one user.
    let limit: Int
    /// For all users together. A user that has less than `share` may have more all the same.
    let total: Int
    /// Nobody else can take this from a user.
    static let share = 64 << 10

    private var used: [UInt32: Int] = [:]
    private(set) var sum = 0
    /// Those that wait until there is room again.
    private var waiting: [UInt32: [Connection]] = [:]

    init(limit: Int, total: Int) {
        self.limit = limit
        self.total = total
    }

    /// Whether a user may have more.
    func hasRoom(_ user: UInt32) -> Bool {
        let own = used[user, default: 0]
        return own < limit && (sum < total || own < Self.share)
    }

    /// Counts more, or fewer.
    ///
    /// - Returns: the connections that may go on now.
    mutating func change(_ user: UInt32, by change: Int) -> [Connection] {
        let bytes = used[user, default: 0] + change
        used[user] = bytes == 0 ? nil : bytes
        sum += change
        guard change < 0, !waiting.isEmpty else { return [] }
        var ready: [Connection] = []
        for user in Array(waiting.keys) where hasRoom(user) {
            ready += waiting.removeValue(forKey: user) ?? []
        }
        return ready
    }

    /// Has a connection wait for room; it asks again when it is told.
    ///
    /// - Returns: false where others of its user wait already.
    mutating func wait(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        let isFirst = waiting[user] == nil
        if !(waiting[user]?.contains { $0 === connection } ?? false) {
            waiting[user, default: []].append(connection)
        }
        return isFirst
    }

    /// Whether somebody of this user waits for room.
    func isAwaited(by user: UInt32) -> Bool { waiting[user] != nil }
}
