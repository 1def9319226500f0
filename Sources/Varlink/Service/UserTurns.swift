/// Which connection goes on next: the users take turns, and of each user the connections do.
///
/// So what one user does, be it on thousands of connections, delays another one's connection by one step for each user that
/// waits, and no more. Belongs to the loop's thread.
struct UserTurns<Member: UserConnection> {
    /// Users with a line, the one whose turn it is first.
    private var order: [UInt32] = []
    /// At most as long as a user may have connections.
    private var lines: [UInt32: [Member]] = [:]

    var isEmpty: Bool { order.isEmpty }

    /// Puts a connection at the end of its user's line.
    mutating func append(_ connection: Member) {
        let user = connection.userID
        if lines[user] == nil { order.append(user) }
        lines[user, default: []].append(connection)
    }

    /// Takes the connection whose turn it is; its user's next turn comes after the other users'.
    mutating func next() -> Member? {
        guard !order.isEmpty else { return nil }
        let user = order.removeFirst()
        let connection = lines[user]?.removeFirst()
        if lines[user]?.isEmpty ?? true { lines[user] = nil } else { order.append(user) }
        return connection
    }
}
