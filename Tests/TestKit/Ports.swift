internal import CTestKit
public import SystemPackage
internal import Unix

/// Ports and plain TCP connections on the loopback.
public enum Loopback {
    /// A port at which no process listened a moment ago. Another process may take it before it is used, so the code
    /// that starts a server on it must be able to try again.
    public static func freePort(host: String = "127.0.0.1") throws(Errno) -> UInt16 {
        let listener = OwnedDescriptor(adopting: try valueOrErrno(ctestkit_listen(host, 0, 1)))
        return UInt16(try valueOrErrno(ctestkit_local_port(listener.rawValue)))
    }

    /// Whether a process accepts connections there.
    public static func answers(host: String = "127.0.0.1", port: UInt16) -> Bool {
        let connection = ctestkit_connect(host, port)
        guard connection >= 0 else { return false }
        _ = OwnedDescriptor(adopting: connection)
        return true
    }
}
