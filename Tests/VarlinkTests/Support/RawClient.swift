import Glibc
import SystemPackage
import TestKit
import Unix

/// A client that can send any bytes.
final class RawClient {
    struct TimedOut: Error {}

    let socket: OwnedDescriptor
    private var received: [UInt8] = []

    init(_ path: String) throws {
        socket = try UnixSocket.connect(path: path)
    }

    /// Sends, and waits no longer than the usual deadline.
    func send(_ text: String, descriptors: [CInt] = []) throws {
        try send(Array(text.utf8), descriptors: descriptors)
    }

    func send(_ bytes: [UInt8], descriptors: [CInt] = []) throws {
        var sent = 0
        while sent < bytes.count {
            try wait(for: POLLOUT)
            sent += try bytes[sent...].withUnsafeBytes {
                try SocketMessage.send(
                    $0, descriptors: sent == 0 ? descriptors : [], to: socket, dontWait: true)
            }
        }
    }

    func finishSending() {
        shutdown(socket.rawValue, CInt(SHUT_WR))
    }

    /// The next message without its NUL; nil at the end of the stream.
    func receive() throws -> String? {
        while true {
            if let end = received.firstIndex(of: 0) {
                defer { received.removeSubrange(...end) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            try wait(for: POLLIN)
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(socket.rawValue, &buffer, buffer.count, 0)
            if count == 0 || (count < 0 && errno == ECONNRESET) { return nil }
            received += buffer.prefix(count)
        }
    }

    private func wait(for events: CInt) throws {
        guard waitFor(events, on: socket.rawValue, until: Deadline()) else { throw TimedOut() }
    }
}
