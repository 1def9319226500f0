internal import Glibc
internal import UnixSockets

/// One message, without the NUL that ends it, and the descriptors that came with its bytes.
struct IncomingMessage {
    let bytes: [UInt8]
    /// Shared by reference only because arrays cannot hold noncopyable values; it has one owner at a time.
    let descriptors: DescriptorBox
}

/// Received descriptors where a noncopyable value cannot be. Whatever is not taken is closed with the box.
final class DescriptorBox {
    private var received = ReceivedDescriptors()

    var count: Int { received.count }

    func append(_ more: consuming ReceivedDescriptors) {
        received.append(more)
    }

    func take(_ index: Int) -> OwnedDescriptor? {
        received.take(index)
    }

    /// Takes over what the other box has left.
    func absorb(_ other: DescriptorBox) {
        var all = ReceivedDescriptors()
        swap(&all, &other.received)
        received.append(all)
    }
}

/// What ends a conversation: a byte stream that cannot be cut into messages any more.
enum FramingError: Error, Equatable {
    case messageTooLarge
    case tooManyDescriptors
}

/// Cuts a byte stream into messages: JSON texts that each end in a NUL (varlink.org, "Method Call").
///
/// Every byte is looked at once, however small the pieces are, and copied twice: into the buffer and out of it.
///
/// ## Which message a descriptor belongs to
/// `recvmsg(2)` does not say where among the bytes it returns the descriptors were. The kernel gives half of the
/// answer: it stops reading *after* the piece of a `sendmsg` that carries descriptors, never before it
/// (`unix_stream_read_generic` in `net/unix/af_unix.c` leaves its loop once `scm.fp` is set). So the last byte of
/// what was received was sent together with the descriptors, while earlier bytes may be older. The sender's part is
/// to send a message with descriptors in a `sendmsg` of its own. Then the descriptors belong to the message that the
/// last byte belongs to, always.
struct MessageDecoder {
    private let maximumMessageSize: Int
    private let maximumDescriptors: Int
    private var buffer: [UInt8] = []
    /// Where in `buffer` the next message begins.
    private var head = 0
    /// Up to where in `buffer` there is no NUL after `head`.
    private var scanned = 0
    /// Descriptors not given out yet, with the place in `buffer` of the byte that they belong to.
    private var marks: [(index: Int, box: DescriptorBox)] = []

    /// The capacity that an empty buffer keeps, so that thousands of idle connections cost little.
    private static let idleCapacity = 4096
    /// How much of what has been given out may stay in front of what has not.
    private static let compactionThreshold = 65_536

    /// - Parameters:
    ///   - maximumMessageSize: in bytes, without the NUL.
    ///   - maximumDescriptors: that may wait to be given out.
    init(maximumMessageSize: Int, maximumDescriptors: Int) {
        self.maximumMessageSize = maximumMessageSize
        self.maximumDescriptors = maximumDescriptors
    }

    /// Whether bytes wait, be they a part of a message or more.
    var isEmpty: Bool { head == buffer.count }

    /// The memory that is taken, in bytes.
    var capacity: Int { buffer.capacity > Self.idleCapacity ? buffer.capacity : 0 }

    /// Takes what one `recvmsg` has brought.
    mutating func append(
        _ bytes: UnsafeRawBufferPointer, descriptors: consuming ReceivedDescriptors = ReceivedDescriptors()
    ) throws(FramingError) {
        buffer.append(contentsOf: bytes)
        guard descriptors.count > 0 else { return }
        let box = DescriptorBox()
        box.append(descriptors)
        marks.append((buffer.count - 1, box))
        if marks.reduce(0, { $0 + $1.box.count }) > maximumDescriptors { throw .tooManyDescriptors }
    }

    /// The next whole message; nil where more bytes are needed.
    ///
    /// After an error the stream has no meaning any more.
    mutating func next() throws(FramingError) -> IncomingMessage? {
        let start = scanned
        let end = buffer.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, start < bytes.count else { return nil }
            return memchr(base + start, 0, bytes.count - start).map { UnsafeRawPointer($0) - base }
        }
        guard let end else {
            scanned = buffer.count
            if buffer.count - head > maximumMessageSize { throw .messageTooLarge }
            return nil
        }
        if end - head > maximumMessageSize { throw .messageTooLarge }
        let message = IncomingMessage(
            bytes: Array(buffer[head..<end]), descriptors: takeDescriptors(upTo: end))
        head = end + 1
        scanned = head
        compact()
        return message
    }

    /// Everything that has not been given out, for a connection that is upgraded; its descriptors are closed.
    mutating func takeRest() -> [UInt8] {
        defer {
            buffer = []
            head = 0
            scanned = 0
            marks = []
        }
        return Array(buffer[head...])
    }

    private mutating func takeDescriptors(upTo end: Int) -> DescriptorBox {
        let box = DescriptorBox()
        while let first = marks.first, first.index <= end {
            marks.removeFirst()
            box.absorb(first.box)
        }
        return box
    }

    private mutating func compact() {
        if head == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= Self.idleCapacity)
        } else if head >= Self.compactionThreshold, head >= buffer.count / 2 {
            buffer.removeFirst(head)
        } else {
            return
        }
        marks = marks.map { ($0.index - head, $0.box) }
        head = 0
        scanned = 0
    }
}
