/// What `UserTurns` and `UserBudget` know of a connection.
protocol UserConnection: AnyObject {
    /// The user of the connection.
    var userID: UInt32 { get }
    /// The position of its next call among the calls of all connections, in the order of arrival.
    var place: UInt64 { get }
}
