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
    /// When each began to wait, as a number: one that was told and finds the room taken keeps its place.
    private var tickets: [ObjectIdentifier: UInt64] = [:]
    private var nextTicket: UInt64 = 0

    init(limit: Int, total: Int) {
        self.limit = limit
        self.total = total
    }

    /// Whether a user may have more.
    func hasRoom(_ user: UInt32) -> Bool {
        let own = used[user, default: 0]
        return own < limit && (sum < total || own < Self.share)
    }

    /// Whether a connection may take more of its user's: there is room, and no other one has waited longer for it.
    mutating func admits(_ connection: Connection) -> Bool {
        let user = connection.peer.userID
        guard hasRoom(user) else { return false }
        let hasWaited = !tickets.isEmpty && tickets[ObjectIdentifier(connection)] != nil
        guard hasWaited || waiting[user] == nil else { return false }
        if hasWaited { tickets[ObjectIdentifier(connection)] = nil }
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
        let id = ObjectIdentifier(connection)
        guard members.insert(id).inserted else { return false }
        let ticket = tickets[id] ?? nextTicket
        if ticket == nextTicket { nextTicket += 1 }
        tickets[id] = ticket
        // Taken out, so that it is not copied.
        var line = waiting.removeValue(forKey: user) ?? []
        let isFirst = line.isEmpty
        // At the end, or among the first.
        let isLast = line.last.map { (tickets[ObjectIdentifier($0)] ?? 0) < ticket } ?? true
        let behind = isLast ? nil : line.firstIndex { (tickets[ObjectIdentifier($0)] ?? 0) > ticket }
        line.insert(connection, at: behind ?? line.endIndex)
        waiting[user] = line
        return isFirst
    }

    /// A connection has ended.
    mutating func forget(_ connection: Connection) {
        tickets[ObjectIdentifier(connection)] = nil
        guard members.remove(ObjectIdentifier(connection)) != nil else { return }
        let user = connection.peer.userID
        waiting[user]?.removeAll { $0 === connection }
        if waiting[user]?.isEmpty ?? true { waiting[user] = nil }
    }

    /// Whether a connection waits for room, of this user or of any.
    func isAwaited(by user: UInt32? = nil) -> Bool {
        user.map { waiting[$0] != nil } ?? !waiting.isEmpty
    }

    /// Takes out some of those for whom there is room now.
    mutating func takeReady() -> [Connection] {
        var ready: [Connection] = []
        for user in Array(waiting.keys) where hasRoom(user) {
            let some = waiting[user]?.prefix(Self.toldAtATime) ?? []
            for connection in some { members.remove(ObjectIdentifier(connection)) }
            ready += some
            waiting[user]?.removeFirst(some.count)
            if waiting[user]?.isEmpty ?? true { waiting[user] = nil }
        }
        return ready
    }
}
