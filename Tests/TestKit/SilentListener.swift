internal import CTestKit
internal import Glibc
internal import SystemPackage
internal import Unix

/// A port at which no connection can be made: its queue is full, so the kernel answers no further SYN, as with a host
/// that does not exist.
public final class SilentListener: Sendable {
    private let listener: OwnedDescriptor
    private let queued: [CInt]
    /// The port.
    public let port: UInt16

    /// - Throws: `Errno`, and `TestFailure` where the queue does not fill.
    public init(host: String) throws {
        listener = OwnedDescriptor(adopting: try valueOrErrno(ctestkit_listen(host, 0, 0)))
        port = UInt16(try valueOrErrno(ctestkit_local_port(listener.rawValue)))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            throw TestFailure("\(host) is no address")
        }
        var queued: [CInt] = []
        // A queue of 0 takes one connection. Connections that are not established yet count, too.
        for _ in 0..<8 {
            let socket = socket(
                AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
            queued.append(try valueOrErrno(socket))
            _ = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        self.queued = queued
    }

    deinit {
        for socket in queued { close(socket) }
    }
}
