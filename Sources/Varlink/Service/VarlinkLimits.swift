/// What a service takes from its clients at most. Every limit that is passed has a named consequence, never a hang.
public struct VarlinkLimits: Sendable {
    /// Connections in total. Past it a new one gets `overloadError` and is closed.
    public var maximumConnections = 4096
    /// Clients that were refused and may be around at once, each until it has read the reason or until `flushTimeout`. Past
    /// it they are told with a single try and closed.
    public var maximumRefused = 64
    /// Connections of root beyond `maximumConnections`: whoever has to look after the service always gets in.
    public var reservedConnections = 32
    /// Connections of one user (the effective one, of SO_PEERCRED). Past it a new one gets `userOverloadError` and is
    /// closed.
    public var maximumConnectionsPerUser = 1024
    /// Bytes of one call without its NUL. Past it the client gets InvalidParameter and is closed.
    public var maximumMessageSize = 1 << 20
    /// Arrays, objects and values in them that one call may have. Past it the client gets InvalidParameter and is closed.
    public var maximumValuesPerMessage = 4096
    /// Bytes of calls of one user that have begun and not ended. Past it that user's connections are not read until others
    /// have ended, but for small calls.
    public var maximumUnfinishedBytesPerUser = 4 << 20
    /// The same for all users together. A user that has little keeps getting in.
    public var maximumUnfinishedBytes = 16 << 20
    /// Descriptors that may come with one call. Past it the client gets InvalidParameter and is closed. With 0 none is
    /// received at all (`SocketMessage.receiveBytes`): the connection is ended with what it holds, see
    /// `VarlinkService.onUnreadSocket`.
    public var maximumDescriptorsPerMessage = 16
    /// What the kernel may keep for a connection whose client does not read, in bytes (`SocketMessage.limitUnreceived`): the
    /// least, for a user with many, and the most, for one with few. It is this process's memory as far as systemd counts it.
    public var unreceivedBytes = 16 << 10...104 << 10
    /// What all connections of one user share of it, as long as each has the least.
    public var unreceivedBytesPerUser = 2 << 20
    /// Bytes of replies that wait for one client to read them, beside what the kernel keeps (`unreceivedBytes`).
    /// Past it the client is dropped. Only the replies to one call can be so many: while one waits, no other call
    /// of this client is carried out.
    public var maximumUnreadReplyBytes = 4 << 20
    /// The same for all clients of one user together. Past it no call of that user is carried out until some have been
    /// read, and a client that reads nothing for `flushTimeout` meanwhile is dropped.
    public var maximumUnreadReplyBytesPerUser = 16 << 20
    /// How long a call may take from its first byte to its last. Past it the client gets InvalidParameter and is
    /// closed. A connection on which no call has begun may stay for ever.
    public var messageTimeout = Duration.seconds(10)
    /// How long a client that is being closed may take to read what it still gets.
    public var flushTimeout = Duration.seconds(5)
    /// What a client is told when there are as many connections as there may be. A service does well to declare an error
    /// of its own.
    public var overloadError = VarlinkErrorReply("org.varlink.service.PermissionDenied")
    /// What a client is told whose user has as many connections as one user may have.
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
    /// numbers left for them.
    case tooManyDescriptors
    /// A message is not JSON, is nested too deeply, has a field name that is too long or not ASCII, or is not a method
    /// call; the field that is wrong, where there is one.
    case malformedMessage(field: String?)
    /// A call has more values than `VarlinkLimits.maximumValuesPerMessage`.
    case tooManyValues
    /// A text has more than 30 combining characters in a row (Unicode Standard Annex #15, §13), which would take very long
    /// to compare; the field that it is the value of, where there is one.
    case unsafeText(field: String?)
    /// A call was begun and not finished within `VarlinkLimits.messageTimeout`.
    case unfinishedMessage
    /// The client does not read its replies: more than `VarlinkLimits.maximumUnreadReplyBytes` wait.
    case unreadReplies
    /// What was left to read when the connection was to be closed was not read within `VarlinkLimits.flushTimeout`.
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

/// What `org.varlink.service.GetInfo` tells about a service.
public struct ServiceInfo: Sendable, Codable, Equatable {
    /// Who makes it.
    public var vendor: String
    /// What it is.
    public var product: String
    /// Its version.
    public var version: String
    /// Where to read about it.
    public var url: String

    /// The four of them.
    public init(vendor: String, product: String, version: String, url: String) {
        self.vendor = vendor
        self.product = product
        self.version = version
        self.url = url
    }
}
