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
    /// As many of a user's connections are told at a time that there is room: what one of them takes is missing to the next,
    /// and to tell thousands each time would cost the square of their number.
    private static let toldAtATime = 16

    private var used: [UInt32: Int] = [:]
    private(set) var sum = 0
    /// Those that wait until there is room again, the first one first.
    private var waiting: [UInt32: [Connection]] = [:]
    private var members: Set<ObjectIdentifier> = []
    /// Whether room is given in the order in which calls came.
    private let keepsOrder: Bool

    init(limit: Int, total: Int, keepsOrder: Bool = false) {
        self.limit = limit
        self.total = total
        self.keepsOrder = keepsOrder
    }

    /// Whether a user may have more.
    func hasRoom(_ user: UInt32) -> Bool {
        let own = used[user, default: 0]
        return own < limit && (sum < total || own < Self.share)
    }

    /// Whether a connection may take more of its user's: there is room and, where order is kept, no other one came before.
    mutating func admits(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        guard hasRoom(user) else { return false }
        guard keepsOrder, let first = waiting[user]?.first else { return true }
        guard first === connection || connection.place < first.place else { return false }
        forget(connection)
        return true
    }

    /// Counts more, or fewer.
    mutating func change(_ user: UInt32, by change: Int) {
        let bytes = used[user, default: 0] + change
        used[user] = bytes == 0 ? nil : bytes
        sum += change
    }

    /// Has a connection wait for room; it asks again when it is told.
    ///
    /// - Returns: whether it is the first of its user.
    mutating func wait(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        guard members.insert(ObjectIdentifier(connection)).inserted else { return false }
        var line = waiting.removeValue(forKey: user) ?? []
        let isFirst = line.isEmpty
        let isLast = !keepsOrder || (line.last.map { $0.place < connection.place } ?? true)
        let index = isLast ? nil : line.firstIndex { $0.place > connection.place }
        line.insert(connection, at: index ?? line.endIndex)
        waiting[user] = line
        return isFirst
    }

    /// A connection does not wait any more.
    mutating func forget(_ connection: Connection) {
        guard members.remove(ObjectIdentifier(connection)) != nil else { return }
        let user = connection.peer.userID
        waiting[user]?.removeAll { $0 === connection }
        if waiting[user]?.isEmpty ?? true { waiting[user] = nil }
    }

    /// Whether a connection waits for room, of this user or of any.
    func isAwaited(by user: UInt32? = nil) -> Bool {
        user.map { waiting[$0] != nil } ?? !waiting.isEmpty
    }

    /// Some of those for whom there is room now. Where order is kept they stay in the line until they are admitted.
    mutating func takeReady() -> [Connection] {
        var ready: [Connection] = []
        for user in Array(waiting.keys) where hasRoom(user) {
            let some = waiting[user]?.prefix(Self.toldAtATime) ?? []
            ready += some
            if keepsOrder { continue }
            for connection in some { members.remove(ObjectIdentifier(connection)) }
            waiting[user]?.removeFirst(some.count)
            if waiting[user]?.isEmpty ?? true { waiting[user] = nil }
        }
        return ready
    }
}
