/// The limits that a service sets for its clients. A client that exceeds one gets the stated answer; it never hangs.
public struct VarlinkLimits: Sendable {
    /// Maximum number of connections. A further connection gets `overloadError` and is closed.
    public var maximumConnections = 4096
    /// Maximum number of refused clients that are kept at once, each until it has read the reason or until
    /// `flushTimeout`. Beyond it, a refused client is told with a single attempt to send, and closed.
    public var maximumRefused = 64
    /// Connections that root may have beyond `maximumConnections`, so that an administrator can always connect.
    public var reservedConnections = 32
    /// Maximum number of connections of one user (the effective user of SO_PEERCRED). A further connection gets
    /// `userOverloadError` and is closed.
    public var maximumConnectionsPerUser = 1024
    /// Maximum size of one call, in bytes without its NUL. The client of a larger call gets InvalidParameter and is
    /// closed.
    public var maximumMessageSize = 1 << 20
    /// Maximum number of arrays, objects and values in them in one call. Past it the client gets InvalidParameter and
    /// is closed.
    public var maximumValuesPerMessage = 4096
    /// Maximum number of bytes of calls of one user that have begun and not ended. Past it, the service does not read
    /// that user's connections until other calls have ended, except for small calls.
    public var maximumUnfinishedBytesPerUser = 4 << 20
    /// The same limit for all users together. A user with few such bytes may exceed it.
    public var maximumUnfinishedBytes = 16 << 20
    /// Maximum number of descriptors that come with one call. Past it the client gets InvalidParameter and is closed.
    /// With 0 the service receives no descriptor at all (`SocketMessage.receiveBytes`): it ends a connection that
    /// holds one without receiving it, see `VarlinkService.onUnreadSocket`.
    public var maximumDescriptorsPerMessage = 16
    /// Number of bytes that the kernel may keep for a connection whose client does not read
    /// (`SocketMessage.limitUnreceived`): the lower bound for a user with many connections, the upper bound for a
    /// user with few. systemd counts them as memory of this process.
    public var unreceivedBytes = 16 << 10...104 << 10
    /// The share of one user in them, divided among the user's connections. Each connection gets the lower bound even
    /// so.
    public var unreceivedBytesPerUser = 2 << 20
    /// Maximum number of bytes of replies that wait for one client to read them, beside what the kernel keeps
    /// (`unreceivedBytes`). Past it the client is dropped. Only the replies to a single call can reach it: while a
    /// reply waits, the service carries out no other call of this client.
    public var maximumUnreadReplyBytes = 4 << 20
    /// The same limit for all clients of one user together. Past it, the service carries out no call of that user
    /// until some replies have been read, and drops a client that reads nothing for `flushTimeout` meanwhile.
    public var maximumUnreadReplyBytesPerUser = 16 << 20
    /// Maximum time of a call from its first byte to its last. Past it the client gets InvalidParameter and is
    /// closed. A connection on which no call has begun has no time limit.
    public var messageTimeout = Duration.seconds(10)
    /// How long a client that is being closed may take to read what it still gets.
    public var flushTimeout = Duration.seconds(5)
    /// The error for a client that connects when there are `maximumConnections`. A service should declare an error of
    /// its own.
    public var overloadError = VarlinkErrorReply("org.varlink.service.PermissionDenied")
    /// The error for a client whose user has `maximumConnectionsPerUser` connections.
    public var userOverloadError = VarlinkErrorReply("org.varlink.service.PermissionDenied")

    /// The defaults.
    public init() {}
}

/// Why the service ended a client's connection of its own accord.
public enum VarlinkDropReason: Sendable, Equatable, CustomStringConvertible {
    /// `VarlinkLimits.maximumConnections` is reached.
    case tooManyConnections
    /// `VarlinkLimits.maximumConnectionsPerUser` is reached.
    case tooManyConnectionsOfUser
    /// `VarlinkService.admission` says no.
    case notAdmitted
    /// A call is longer than `VarlinkLimits.maximumMessageSize`.
    case messageTooLarge
    /// A call came with more than `VarlinkLimits.maximumDescriptorsPerMessage` descriptors, or this process had no
    /// descriptor numbers left for them.
    case tooManyDescriptors
    /// A message is not JSON, is nested too deeply, has a field name that is too long or not ASCII, or is not a
    /// method call. `field` is the field that is wrong, where there is one.
    case malformedMessage(field: String?)
    /// A call has more values than `VarlinkLimits.maximumValuesPerMessage`.
    case tooManyValues
    /// A text has more than 30 combining characters in a row (Unicode Standard Annex #15, §13) and would take very
    /// long to compare. `field` is the field that has this value, where there is one.
    case unsafeText(field: String?)
    /// A call was begun and not finished within `VarlinkLimits.messageTimeout`.
    case unfinishedMessage
    /// The client does not read its replies: more than `VarlinkLimits.maximumUnreadReplyBytes` wait.
    case unreadReplies
    /// The connection was being closed, and the client did not read the rest of its replies within
    /// `VarlinkLimits.flushTimeout`.
    case unreadAtClose

    /// For the log.
    public var description: String {
        switch self {
        case .tooManyConnections: "too many connections"
        case .tooManyConnectionsOfUser: "too many connections of one user"
        case .notAdmitted: "the user may not use the service"
        case .messageTooLarge: "the message is too large"
        case .tooManyDescriptors: "too many descriptors"
        case .malformedMessage(let field?): "the message is no method call: \(field)"
        case .malformedMessage(nil): "the message is not JSON"
        case .tooManyValues: "the message has too many values"
        case .unsafeText(let field?): "a text has too many combining characters in a row: \(field)"
        case .unsafeText(nil): "a text has too many combining characters in a row"
        case .unfinishedMessage: "the message was not finished in time"
        case .unreadReplies: "the client does not read its replies"
        case .unreadAtClose: "the client did not read its last replies in time"
        }
    }
}

/// What `org.varlink.service.GetInfo` reports about a service.
public struct ServiceInfo: Sendable, Codable, Equatable {
    /// The vendor of the service.
    public var vendor: String
    /// The name of the product.
    public var product: String
    /// Its version.
    public var version: String
    /// The address of its documentation.
    public var url: String

    /// Creates a value from these four fields.
    public init(vendor: String, product: String, version: String, url: String) {
        self.vendor = vendor
        self.product = product
        self.version = version
        self.url = url
    }
}
