/// Bytes that are kept for clients, counted by user: what one user has used up reduces the room of that user alone.
///
/// Belongs to the loop's thread.
struct UserBudget<Member: UserConnection> {
    /// Maximum for one user.
    let limit: Int
    /// Maximum for all users together. A user below `share` may exceed it.
    let total: Int
    /// The number of bytes that a user may have whatever other users have.
    static var share: Int { 64 << 10 }
    /// Maximum number of a user's connections that are told at a time that there is room. What one of them takes is
    /// missing to the next, and telling thousands each time would cost the square of their number.
    private static var toldAtATime: Int { 16 }

    private var used: [UInt32: Int] = [:]
    private(set) var sum = 0
    /// The connections of each user that wait for room, in ascending order of their places. Thousands may end at
    /// once, so each is found by a binary search.
    private var waiting: [UInt32: [(place: UInt64, connection: Member)]] = [:]
    /// The place of each connection that waits.
    private var places: [ObjectIdentifier: UInt64] = [:]
    private var lastPlace: UInt64 = 0
    /// Whether room is given in the order in which calls came. Otherwise it is given in the order in which
    /// connections began to wait.
    private let keepsOrder: Bool

    init(limit: Int, total: Int, keepsOrder: Bool = false) {
        self.limit = limit
        self.total = total
        self.keepsOrder = keepsOrder
    }

    /// Whether a user may have more bytes.
    func hasRoom(_ user: UInt32) -> Bool {
        let own = used[user, default: 0]
        return own < limit && (sum < total || own < Self.share)
    }

    /// Whether a connection may take more bytes of its user: there is room and, where order is kept, no other
    /// connection came before it.
    mutating func admits(_ connection: Member) -> Bool {
        let user = connection.userID
        guard hasRoom(user) else { return false }
        guard keepsOrder, let first = waiting[user]?.first else { return true }
        guard first.connection === connection || connection.place < first.place else { return false }
        forget(connection)
        return true
    }

    /// Adds to the bytes of a user, or subtracts.
    mutating func change(_ user: UInt32, by change: Int) {
        let bytes = used[user, default: 0] + change
        used[user] = bytes == 0 ? nil : bytes
        sum += change
    }

    /// Makes a connection wait for room. The connection asks again when it is told that there is room.
    ///
    /// - Returns: whether it is the first of its user that waits.
    mutating func wait(_ connection: Member) -> Bool {
        let id = ObjectIdentifier(connection)
        guard places[id] == nil else { return false }
        lastPlace += 1
        let place = keepsOrder ? connection.place : lastPlace
        places[id] = place
        let user = connection.userID
        var line = waiting.removeValue(forKey: user) ?? []
        let isFirst = line.isEmpty
        line.insert((place, connection), at: Self.index(of: place, in: line))
        waiting[user] = line
        return isFirst
    }

    /// Ends the wait of a connection.
    mutating func forget(_ connection: Member) {
        guard let place = places.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        let user = connection.userID
        guard var line = waiting.removeValue(forKey: user) else { return }
        line.remove(at: Self.index(of: place, in: line))
        if !line.isEmpty { waiting[user] = line }
    }

    /// The index of a place in a line, or the index at which it would be inserted.
    private static func index(of place: UInt64, in line: [(place: UInt64, connection: Member)]) -> Int {
        var range = line.startIndex..<line.endIndex
        while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
            range = line[middle].place < place ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// Whether a connection of this user waits for room; nil: of any user.
    func isAwaited(by user: UInt32? = nil) -> Bool {
        user.map { waiting[$0] != nil } ?? !waiting.isEmpty
    }

    /// Some of the connections for which there is room now. Where order is kept, they stay in the line until they are
    /// admitted.
    mutating func takeReady() -> [Member] {
        var ready: [Member] = []
        for user in Array(waiting.keys) where hasRoom(user) {
            let some = (waiting[user] ?? []).prefix(Self.toldAtATime).map(\.connection)
            ready += some
            if !keepsOrder { for connection in some { forget(connection) } }
        }
        return ready
    }
}
