internal import CUnix
public import SystemPackage

/// Who was at the other end of a Unix-domain socket when it was connected (`unix(7)`, SO_PEERCRED).
///
/// The kernel vouches for it: a peer can neither choose nor change it.
public struct PeerCredentials: Sendable, Equatable {
    /// The process, as numbered in our PID namespace; 0 where it has no number there. It may have ended since.
    public var processID: Int32
    /// The effective user.
    public var userID: UInt32
    /// The effective group.
    public var groupID: UInt32

    /// Credentials put together by hand, as tests do.
    public init(processID: Int32, userID: UInt32, groupID: UInt32) {
        self.processID = processID
        self.userID = userID
        self.groupID = groupID
    }

    /// Asks the kernel about the peer of a connected socket.
    ///
    /// - Throws: `Errno.notSocket` and the like; never for a peer that has gone.
    public init(of socket: borrowing OwnedDescriptor) throws(Errno) {
        var peer = cunix_credentials()
        _ = try valueOrErrno(cunix_peer_credentials(socket.rawValue, &peer))
        self.init(processID: peer.pid, userID: peer.uid, groupID: peer.gid)
    }
}
