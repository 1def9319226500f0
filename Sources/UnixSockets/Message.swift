internal import CUnix
internal import Glibc
public import SystemPackage

/// The descriptors that came with a message, in the order in which they were sent.
///
/// Whatever is not taken is closed with this value.
public struct ReceivedDescriptors: ~Copyable, Sendable {
    private var raw: [CInt]

    /// No descriptors.
    public init() {
        raw = []
    }

    init(adopting raw: [CInt]) {
        self.raw = raw
    }

    deinit {
        for descriptor in raw where descriptor >= 0 {
            close(descriptor)
        }
    }

    /// How many came, taken or not.
    public var count: Int { raw.count }

    /// Takes the descriptor at `index`; nil where there is none or it has been taken before.
    public mutating func take(_ index: Int) -> OwnedDescriptor? {
        guard raw.indices.contains(index), raw[index] >= 0 else { return nil }
        defer { raw[index] = -1 }
        return OwnedDescriptor(adopting: raw[index])
    }

    /// Adds what came with a later part of the same stream.
    public mutating func append(_ other: consuming ReceivedDescriptors) {
        raw.append(contentsOf: other.raw)
        other.raw = []
    }
}

/// What one `recvmsg(2)` brought.
@frozen
public struct ReceivedMessage: ~Copyable, Sendable {
    /// How many bytes were written to the buffer; 0 means that the peer has closed.
    public var count: Int
    /// What came along.
    public var descriptors: ReceivedDescriptors
    /// The kernel dropped bytes (a packet larger than the buffer) or descriptors: the message is not whole.
    public var isTruncated: Bool
}

/// Descriptor passing on stream and seqpacket sockets (`unix(7)`, SCM_RIGHTS).
public enum SocketMessage {
    /// The most descriptors that one message carries here.
    public static let maximumDescriptors = Int(CUNIX_MAX_FDS)

    /// Sends bytes, and with the first of them the descriptors, which stay the sender's own.
    ///
    /// Never raises SIGPIPE. On a stream socket fewer bytes than given may be sent; the descriptors go along
    /// with the first byte or not at all.
    ///
    /// - Parameters:
    ///   - descriptors: raw numbers, valid for the time of the call; at most `maximumDescriptors`.
    ///   - dontWait: fail with `Errno.wouldBlock` rather than wait, whatever O_NONBLOCK says.
    /// - Returns: the number of bytes sent.
    /// - Throws: `Errno.brokenPipe` where the peer is gone, `Errno.wouldBlock`, `Errno.tooManyReferences`.
    public static func send(
        _ bytes: UnsafeRawBufferPointer, descriptors: [CInt] = [], to socket: borrowing OwnedDescriptor,
        dontWait: Bool = false
    ) throws(Errno) -> Int {
        while true {
            let sent = cunix_send(
                socket.rawValue, bytes.baseAddress, bytes.count, descriptors, descriptors.count, dontWait)
            if sent < 0, errno == EINTR { continue }
            return Int(try valueOrErrno(sent))
        }
    }

    /// Whether the peer of a stream socket has received all that was sent to it so far (`unix(7)`, SIOCOUTQ).
    ///
    /// - Throws: `Errno.notSocket` and the like.
    public static func isReceivedByPeer(_ socket: borrowing OwnedDescriptor) throws(Errno) -> Bool {
        try valueOrErrno(cunix_unreceived_by_peer(socket.rawValue)) == 0
    }

    /// What `receiveBytes` found.
    public enum Bytes: Sendable, Equatable {
        /// So many were received; 0 means that the peer has closed.
        case received(Int)
        /// Next is something with descriptors, which stays where it is.
        case descriptorsWait
    }

    /// Receives bytes of a stream, or a packet, and never a descriptor. (A packet that is too long is not received either.)
    ///
    /// To receive a descriptor is to have to close it, and close(2) waits for as long as its sender likes: of a TCP socket with
    /// SO_LINGER and unsent data, of a file on a FUSE that does not answer. Nor may such bytes be dropped by whoever must not
    /// wait, since the kernel closes what came with them.
    ///
    /// - Throws: `Errno.connectionReset`, `Errno.wouldBlock`.
    public static func receiveBytes(
        into buffer: UnsafeMutableRawBufferPointer, from socket: borrowing OwnedDescriptor
    ) throws(Errno) -> Bytes {
        var holdsDescriptors = false
        while true {
            let received = cunix_receive_bytes(
                socket.rawValue, buffer.baseAddress, buffer.count, &holdsDescriptors)
            if received < 0, errno == EINTR { continue }
            let count = Int(try valueOrErrno(received))
            return holdsDescriptors ? .descriptorsWait : .received(count)
        }
    }

    /// Whether a stream socket has bytes that were not received: descriptors may be among them.
    public static func hasUnread(_ socket: borrowing OwnedDescriptor) -> Bool {
        cunix_has_unread(socket.rawValue)
    }

    /// Limits what the kernel keeps of what a socket has sent and its peer has not received (`socket(7)`, SO_SNDBUF).
    ///
    /// - Parameter bytes: the kernel takes twice as much, for what it needs beside them.
    public static func limitUnreceived(_ bytes: Int, of socket: borrowing OwnedDescriptor) {
        // Fails for what is no socket alone.
        _ = cunix_set_send_buffer(socket.rawValue, CInt(clamping: bytes))
    }

    /// Receives what is there: part of a stream, or one packet.
    ///
    /// - Parameter dontWait: fail with `Errno.wouldBlock` rather than wait, whatever O_NONBLOCK says.
    /// - Throws: `Errno.connectionReset`, `Errno.wouldBlock`.
    public static func receive(
        into buffer: UnsafeMutableRawBufferPointer, from socket: borrowing OwnedDescriptor,
        dontWait: Bool = false
    ) throws(Errno) -> ReceivedMessage {
        var raw = [CInt](repeating: -1, count: maximumDescriptors)
        var truncated = false
        while true {
            var count = raw.count
            let received = cunix_receive(
                socket.rawValue, buffer.baseAddress, buffer.count, &raw, &count, &truncated, dontWait)
            if received < 0, errno == EINTR { continue }
            let bytes = try valueOrErrno(received)
            return ReceivedMessage(
                count: Int(bytes), descriptors: ReceivedDescriptors(adopting: Array(raw.prefix(count))),
                isTruncated: truncated)
        }
    }
}
