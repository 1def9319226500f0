public import SystemPackage
internal import UnixSockets

/// Whether somebody answers at a Unix socket.
///
/// - Returns: false where the file is there and nobody listens.
/// - Throws: what else keeps one from connecting.
public func isServed(_ path: String) throws(Errno) -> Bool {
    do {
        _ = try UnixSocket.connect(path: path)
        return true
    } catch .connectionRefused {
        return false
    }
}

/// Makes a socket file whose listener has gone, as a daemon that was killed leaves one.
///
/// A listener does not go with its descriptor alone: other tests of this process start programs, and a child has a copy
/// of every descriptor until its execve(2). So this waits until nobody answers any more.
public func makeStaleSocket(_ path: String) throws {
    _ = try UnixSocket.listen(path: path)
    try eventually("\(path) is served by nobody") { try !isServed(path) }
}
