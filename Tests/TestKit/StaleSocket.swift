public import SystemPackage
internal import Unix

/// Whether a process answers at a Unix socket.
///
/// - Returns: false where the file exists and no process listens.
/// - Throws: any other error of the connection.
public func isServed(_ path: String) throws(Errno) -> Bool {
    do {
        _ = try UnixSocket.connect(path: path)
        return true
    } catch .connectionRefused {
        return false
    }
}

/// Makes a socket file whose listener has gone, as a daemon leaves it when it is killed.
///
/// Closing the descriptor is not enough to end a listener: other tests of this process start programs, and a child
/// has a copy of every descriptor until its execve(2). So this function waits until no process answers any more.
public func makeStaleSocket(_ path: String) throws {
    _ = try UnixSocket.listen(path: path)
    try eventually("\(path) is served by nobody") { try !isServed(path) }
}
