internal import CTestKit
internal import Glibc
public import SystemPackage
internal import Unix

/// One connection of a `BadOrigin`, used by a script. Calls block; every wait ends when the origin is stopped.
public struct OriginConnection: ~Copyable {
    /// The request that chose the script; `readRequest` replaces it.
    public private(set) var request: HTTPHead
    /// Counts connections of the origin from 0.
    public let number: Int
    /// Bytes accepted by the kernel on this connection.
    public private(set) var bytesSent = 0
    private let origin: OriginCore
    private let socket: OwnedDescriptor
    private var unread: [UInt8] = []
    private(set) var isClosed = false

    init(socket: consuming OwnedDescriptor, number: Int, origin: OriginCore) throws {
        self.socket = socket
        self.number = number
        self.origin = origin
        request = try HTTPHead(raw: "NONE / HTTP/1.1\r\n\r\n")
    }

    /// The raw socket, for operations that the methods do not offer.
    public var descriptor: CInt { socket.rawValue }

    /// Waits for the next request's head and records it with the origin.
    ///
    /// - Returns: false where the peer has closed instead.
    public mutating func readRequest() throws -> Bool {
        let mark = Array("\r\n\r\n".utf8)
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            if let end = unread.indices.first(where: { unread[$0...].starts(with: mark) }) {
                let head = unread[..<(end + mark.count)]
                request = try HTTPHead(raw: String(decoding: head, as: UTF8.self))
                unread.removeSubrange(..<(end + mark.count))
                origin.record(request)
                return true
            }
            guard unread.count < 1 << 20 else { throw TestFailure("a request head without end") }
            let count = recv(socket.rawValue, &chunk, chunk.count, 0)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            unread.append(contentsOf: chunk[..<count])
        }
    }

    /// Sends text as it is.
    public mutating func send(_ text: String) throws(Errno) { try send(Array(text.utf8)) }

    /// Sends bytes as they are.
    ///
    /// - Throws: `Errno.brokenPipe`, `Errno.connectionReset` where the peer is gone.
    public mutating func send(_ bytes: [UInt8]) throws(Errno) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                Glibc.send(
                    socket.rawValue, buffer.baseAddress.map { $0 + sent }, bytes.count - sent,
                    CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            sent += Int(try valueOrErrno(count))
            bytesSent += count
            origin.count(sent: count)
        }
    }

    /// Sends a part of a pattern, 64 KiB at a time. Blocks while the peer does not read.
    public mutating func send(_ pattern: Pattern, _ range: Range<Int>) throws(Errno) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let end = min(offset + 65536, range.upperBound)
            try send(pattern.bytes(offset..<end))
            offset = end
        }
    }

    /// Sends a pattern until the peer closes or the origin is stopped. `bytesSent` is the number of bytes that the
    /// kernel took.
    public mutating func sendForever(_ pattern: Pattern = Pattern(), from start: Int = 0) {
        var offset = start
        while true {
            do { try send(pattern, offset..<(offset + 65536)) } catch { return }
            offset += 65536
        }
    }

    /// Sends bytes in pieces with a pause after each. The pause is what is tested: an origin that sends slowly.
    public mutating func sendSlowly(_ bytes: [UInt8], piece: Int, pause: Duration) throws {
        for start in stride(from: 0, to: bytes.count, by: piece) {
            try send(Array(bytes[start..<min(start + piece, bytes.count)]))
            try self.pause(pause)
        }
    }

    /// Sends a complete response with a Content-Length.
    public mutating func respond(
        _ status: String = "200 OK", headers: [String] = [], body: [UInt8] = []
    ) throws(Errno) {
        try sendHead(status, headers: ["Content-Length: \(body.count)"] + headers)
        try send(body)
    }

    /// Sends a complete response with a patterned body.
    public mutating func respond(
        _ status: String = "200 OK", headers: [String] = [], pattern: Pattern, count: Int, from start: Int = 0
    ) throws(Errno) {
        try sendHead(status, headers: ["Content-Length: \(count - start)"] + headers)
        try send(pattern, start..<count)
    }

    /// Sends a status line, the headers as they are, and the empty line.
    public mutating func sendHead(_ status: String = "200 OK", headers: [String]) throws(Errno) {
        try send((["HTTP/1.1 \(status)"] + headers).joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// Sends one chunk of a chunked body. An empty chunk is the last one, without trailers.
    public mutating func sendChunk(_ bytes: [UInt8]) throws(Errno) {
        try send(Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + Array("\r\n".utf8))
    }

    /// Waits until a gate opens.
    ///
    /// - Throws: `TestFailure` where the origin is stopped first.
    public func wait(for gate: Gate) throws { try wait(readable: gate.descriptor) }

    /// Waits until the peer has closed or reset its side. Discards what the peer still sends.
    public mutating func waitForClose() {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(socket.rawValue, &chunk, chunk.count, 0)
            if count > 0 || (count < 0 && errno == EINTR) { continue }
            return
        }
    }

    /// Waits for a while.
    ///
    /// - Throws: `TestFailure` where the origin is stopped meanwhile.
    public func pause(_ duration: Duration) throws {
        guard !waitFor(CInt(POLLIN), on: origin.stopGate.descriptor, until: Deadline(exactly: duration))
        else {
            throw TestFailure("the origin was stopped")
        }
    }

    /// Ends the connection with FIN.
    public mutating func close() {
        isClosed = true
        shutdown(socket.rawValue, CInt(SHUT_RDWR))
    }

    /// Sends FIN and continues to receive.
    public func finishSending() { shutdown(socket.rawValue, CInt(SHUT_WR)) }

    /// Ends the connection with RST, once the script returns.
    public mutating func reset() {
        isClosed = true
        _ = ctestkit_reset_on_close(socket.rawValue)
    }

    /// Asks for a smaller send buffer, so that `bytesSent` follows the peer closely.
    public func limitSendBuffer(_ bytes: Int) { _ = ctestkit_set_send_buffer(socket.rawValue, CInt(bytes)) }

    private func wait(readable descriptor: CInt) throws {
        var entries = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: origin.stopGate.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&entries, 2, -1) < 0 {}
        guard entries[1].revents == 0 else { throw TestFailure("the origin was stopped") }
    }
}
