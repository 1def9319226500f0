/// Decides which connection goes on next: users take turns, and so do the connections of each user.
///
/// A user, even one with thousands of connections, therefore delays a connection of another user by one step at most.
/// The delay of a connection is one step for each user that waits. Belongs to the loop's thread.
struct UserTurns<Member: UserConnection> {
    /// Users that have a line. The first one is next.
    private var order: [UInt32] = []
    /// The waiting connections of each user. A line is no longer than the number of
    /// connections of one user, which is bounded, and those that have ended before their turn.
    private var lines: [UInt32: [Member]] = [:]

    var isEmpty: Bool { order.isEmpty }

    /// Puts a connection at the end of its user's line.
    mutating func append(_ connection: Member) {
        let user = connection.userID
        if lines[user] == nil { order.append(user) }
        lines[user, default: []].append(connection)
    }

    /// Takes the connection whose turn it is. The next turn of its user comes after those of the other users.
    mutating func next() -> Member? {
        guard !order.isEmpty else { return nil }
        let user = order.removeFirst()
        let connection = lines[user]?.removeFirst()
        if lines[user]?.isEmpty ?? true { lines[user] = nil } else { order.append(user) }
        return connection
    }
}
