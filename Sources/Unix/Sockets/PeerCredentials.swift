internal import CUnix
public import SystemPackage

/// The process at the other end of a Unix-domain socket when it was connected (`unix(7)`, SO_PEERCRED).
///
/// The kernel sets these values: a peer can neither choose nor change them.
public struct PeerCredentials: Sendable, Equatable {
    /// The process's number in our PID namespace; 0 where it has none there. The process may have ended since.
    public var processID: Int32
    /// The effective user.
    public var userID: UInt32
    /// The effective group.
    public var groupID: UInt32

    /// Creates a value from its fields, for tests.
    public init(processID: Int32, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }

    /// Asks the kernel about the peer of a connected socket.
    ///
    /// - Throws: `Errno.notSocket` and similar errors; never because the peer has gone.
    public init(of socket: borrowing OwnedDescriptor) throws(Errno) {
        var peer = cunix_credentials()
        _ = try valueOrErrno(cunix_peer_credentials(socket.rawValue, &peer))
        self.init(processID: peer.pid, userID: peer.uid, groupID: peer.gid)
    }
}
