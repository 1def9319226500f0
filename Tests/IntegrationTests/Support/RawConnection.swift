import Glibc
import SystemPackage
import TestKit
import Unix

/// A connection to the service on which a test can send any bytes, valid or not.
struct RawConnection: ~Copyable {
    private let socket: OwnedDescriptor
    private var unread: [UInt8] = []

    init(_ service: TestService) throws {
        socket = try UnixSocket.connect(path: service.socket)
    }

    var descriptor: CInt { socket.rawValue }

    /// Sends bytes as they are.
    ///
    /// - Returns: false where the service has closed the connection.
    @discardableResult
    func send(_ bytes: [UInt8], until deadline: Deadline = Deadline()) throws -> Bool {
        var sent = 0
        while sent < bytes.count {
            guard waitFor(CInt(POLLOUT), on: socket.rawValue, until: deadline) else { return true }
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(socket.rawValue, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            if count < 0 { return false }
            sent += count
        }
        return true
    }

    /// Sends a message and its NUL.
    func send(_ text: String) throws { try send(Array(text.utf8) + [0]) }

    /// The next message; nil where the service has closed the connection.
    ///
    /// - Throws: `TestFailure` past the deadline.
    mutating func receive(within duration: Duration = Deadline.usual) throws -> String? {
        let deadline = Deadline(duration)
        while true {
            if let end = unread.firstIndex(of: 0) {
                defer { unread.removeSubrange(...end) }
                return String(decoding: unread[..<end], as: UTF8.self)
            }
            guard waitFor(CInt(POLLIN), on: socket.rawValue, until: deadline) else {
                throw TestFailure("the service says nothing for \(deadline.waited)")
            }
            var chunk = [UInt8](repeating: 0, count: 65536)
            let count = recv(socket.rawValue, &chunk, chunk.count, 0)
            if count <= 0 { return nil }
            unread.append(contentsOf: chunk[..<count])
        }
    }
}
