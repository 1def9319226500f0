/// What `UserTurns` and `UserBudget` know of a connection.
protocol UserConnection: AnyObject {
    /// Whose it is.
    var userID: UInt32 { get }
    /// When its next call came, among the calls of all.
    var place: UInt64 { get }
}
