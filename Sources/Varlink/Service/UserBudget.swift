/// Bytes that are kept for clients, counted by user: what one user has used up is missing to that user alone.
///
/// Belongs to the loop's thread.
struct UserBudget<Member: UserConnection> {
    /// For one user.
    let limit: Int
    /// For all users together. A user that has less than `share` may have more all the same.
    let total: Int
    /// Nobody else can take this from a user.
    static var share: Int { 64 << 10 }
    /// As many of a user's connections are told at a time that there is room: what one of them takes is missing to the next,
    /// and to tell thousands each time would cost the square of their number.
    private static var toldAtATime: Int { 16 }

    private var used: [UInt32: Int] = [:]
    private(set) var sum = 0
    /// Those of a user that wait until there is room again, in ascending order of their places: thousands may end at once, and
    /// each is found without a look at the others.
    private var waiting: [UInt32: [(place: UInt64, connection: Member)]] = [:]
    /// The places of those that wait.
    private var places: [ObjectIdentifier: UInt64] = [:]
    private var lastPlace: UInt64 = 0
    /// Whether room is given in the order in which calls came; else in that in which their connections began to wait.
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
    mutating func admits(_ connection: Member) -> Bool {
        let user = connection.userID
        guard hasRoom(user) else { return false }
        guard keepsOrder, let first = waiting[user]?.first else { return true }
        guard first.connection === connection || connection.place < first.place else { return false }
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

    /// A connection does not wait any more.
    mutating func forget(_ connection: Member) {
        guard let place = places.removeValue(forKey: ObjectIdentifier(connection)) else { return }
        let user = connection.userID
        guard var line = waiting.removeValue(forKey: user) else { return }
        line.remove(at: Self.index(of: place, in: line))
        if !line.isEmpty { waiting[user] = line }
    }

    /// Where a place is in a line, or would be.
    private static func index(of place: UInt64, in line: [(place: UInt64, connection: Member)]) -> Int {
        var range = line.startIndex..<line.endIndex
        while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
            range = line[middle].place < place ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// Whether a connection waits for room, of this user or of any.
    func isAwaited(by user: UInt32? = nil) -> Bool {
        user.map { waiting[$0] != nil } ?? !waiting.isEmpty
    }

    /// Some of those for whom there is room now. Where order is kept they stay in the line until they are admitted.
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
