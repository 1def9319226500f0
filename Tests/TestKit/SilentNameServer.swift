internal import Glibc
internal import SystemPackage
internal import Unix

/// A name server that receives questions and never answers. Port 53 needs a privilege.
public final class SilentNameServer: Sendable {
    private let socket: OwnedDescriptor

    /// - Parameter host: an IPv4 address of this machine.
    public init(host: String) throws {
        socket = OwnedDescriptor(
            adopting: try valueOrErrno(
                Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(53).bigEndian
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else {
            throw TestFailure("\(host) is no address")
        }
        _ = try valueOrErrno(
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket.rawValue, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            })
    }

    /// Waits until a question arrives.
    public func waitForQuestion() throws {
        guard waitFor(CInt(POLLIN), on: socket.rawValue, until: Deadline()) else {
            throw TestFailure("nobody asked for a name")
        }
    }
}
