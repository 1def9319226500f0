internal import CUnix
internal import Glibc
public import SystemPackage

/// The descriptors that came with a message, in the order in which they were sent.
///
/// Descriptors that are not taken are closed with this value.
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

    /// How many descriptors came, taken or not.
    public var count: Int { raw.count }

    /// Takes the descriptor at `index`; nil where there is none, or it was taken before.
    public mutating func take(_ index: Int) -> OwnedDescriptor? {
        guard raw.indices.contains(index), raw[index] >= 0 else { return nil }
        defer { raw[index] = -1 }
        return OwnedDescriptor(adopting: raw[index])
    }

    /// Adds the descriptors that came with a later part of the same stream.
    public mutating func append(_ other: consuming ReceivedDescriptors) {
        raw.append(contentsOf: other.raw)
        other.raw = []
    }
}

/// The result of one `recvmsg(2)`.
@frozen
public struct ReceivedMessage: ~Copyable, Sendable {
    /// How many bytes were written to the buffer; 0 means that the peer has closed.
    public var count: Int
    /// The descriptors that came with the bytes.
    public var descriptors: ReceivedDescriptors
    /// The kernel dropped bytes (a packet larger than the buffer) or descriptors: the message is incomplete.
    public var isTruncated: Bool
}

/// Descriptor passing on stream and seqpacket sockets (`unix(7)`, SCM_RIGHTS).
public enum SocketMessage {
    /// Maximum number of descriptors in one message.
    public static let maximumDescriptors = Int(CUNIX_MAX_FDS)

    /// Sends bytes, and the descriptors with the first of them. The descriptors stay the sender's.
    ///
    /// Never raises SIGPIPE. On a stream socket fewer bytes than given may be sent. The descriptors are sent with the
    /// first byte or not at all.
    ///
    /// - Parameters:
    ///   - bytes: what is sent.
    ///   - descriptors: raw numbers, valid for the time of the call; at most `maximumDescriptors`.
    ///   - socket: a connected stream or seqpacket socket.
    ///   - dontWait: fail with `Errno.wouldBlock` instead of waiting, whether O_NONBLOCK is set or not.
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

    /// The same, for bytes of an array.
    @discardableResult
    public static func send(
        _ bytes: [UInt8], descriptors: [CInt] = [], to socket: borrowing OwnedDescriptor,
        dontWait: Bool = false
    ) throws(Errno) -> Int {
        let result: Result<Int, Errno> = bytes.withUnsafeBytes { bytes in
            Result { () throws(Errno) in
                try send(bytes, descriptors: descriptors, to: socket, dontWait: dontWait)
            }
        }
        return try result.get()
    }

    /// Whether the peer of a stream socket has received everything that was sent to it so far (`unix(7)`, SIOCOUTQ).
    ///
    /// - Throws: `Errno.notSocket` and the like.
    public static func isReceivedByPeer(_ socket: borrowing OwnedDescriptor) throws(Errno) -> Bool {
        try valueOrErrno(cunix_unreceived_by_peer(socket.rawValue)) == 0
    }

    /// What `receiveBytes` found.
    public enum Bytes: Sendable, Equatable {
        /// This number of bytes was received; 0 means that the peer has closed.
        case received(Int)
        /// The next bytes carry descriptors. They stay in the socket.
        case descriptorsWait
    }

    /// Receives bytes of a stream, or a packet, and never a descriptor. (A packet that is too long is not received
    /// either.)
    ///
    /// A process that receives a descriptor has to close it, and close(2) can wait for as long as the sender likes:
    /// for a TCP socket with SO_LINGER and unsent data, or for a file on a FUSE file system that does not answer. A
    /// process that must not wait cannot drop such bytes either, since the kernel closes the descriptors that came
    /// with them.
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

    /// Whether a stream socket has bytes that were not received. They may carry descriptors.
    public static func hasUnread(_ socket: borrowing OwnedDescriptor) -> Bool {
        cunix_has_unread(socket.rawValue)
    }

    /// Limits the bytes that the kernel keeps for a socket's peer that does not receive them (`socket(7)`,
    /// SO_SNDBUF).
    ///
    /// - Parameters:
    ///   - bytes: the kernel doubles this number, to allow for its own overhead.
    ///   - socket: a connected stream or seqpacket socket.
    public static func limitUnreceived(_ bytes: Int, of socket: borrowing OwnedDescriptor) {
        // Fails only for a descriptor that is no socket.
        _ = cunix_set_send_buffer(socket.rawValue, CInt(clamping: bytes))
    }

    /// Receives what is there: a part of the stream, or one packet.
    ///
    /// - Parameters:
    ///   - buffer: where the bytes go.
    ///   - socket: a connected stream or seqpacket socket.
    ///   - dontWait: fail with `Errno.wouldBlock` instead of waiting, whether O_NONBLOCK is set or not.
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
