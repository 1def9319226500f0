internal import Glibc
internal import Unix

/// One message, without the NUL that ends it, and the descriptors that came with its bytes.
struct IncomingMessage {
    let bytes: [UInt8]
    /// Shared by reference only because arrays cannot hold noncopyable values; it has one owner at a time.
    let descriptors: DescriptorBox
}

/// Holds received descriptors where a noncopyable value cannot be stored. Descriptors that are not taken close with
/// the box.
final class DescriptorBox {
    private var received = ReceivedDescriptors()

    var count: Int { received.count }

    func append(_ more: consuming ReceivedDescriptors) {
        received.append(more)
    }

    func take(_ index: Int) -> OwnedDescriptor? {
        received.take(index)
    }

    /// Takes over the descriptors that are left in the other box.
    func absorb(_ other: DescriptorBox) {
        var all = ReceivedDescriptors()
        swap(&all, &other.received)
        received.append(all)
    }
}

/// An error that ends a conversation: the byte stream can no longer be cut into messages.
enum FramingError: Error, Equatable {
    case messageTooLarge
    case tooManyDescriptors
}

/// Cuts a byte stream into messages: JSON texts that each end in a NUL (varlink.org, "Method Call").
///
/// Each byte is examined once, however small the pieces are, and copied twice: into the buffer and out of it.
///
/// ## Which message a descriptor belongs to
/// `recvmsg(2)` does not say at which of the bytes that it returns the descriptors were. The kernel gives half of the
/// answer: it stops reading *after* the piece of a `sendmsg` that carries descriptors, never before it
/// (`unix_stream_read_generic` in `net/unix/af_unix.c` leaves its loop once `scm.fp` is set). So the last byte of
/// what was received was sent together with the descriptors, while earlier bytes may be older. The sender must send a
/// message with descriptors in a `sendmsg` of its own. The descriptors then always belong to the message that
/// contains the last byte.
struct MessageDecoder {
    private let maximumMessageSize: Int
    private let maximumDescriptors: Int
    private var buffer: [UInt8] = []
    /// The index in `buffer` at which the next message begins.
    private var head = 0
    /// There is no NUL in `buffer` between `head` and this index.
    private var scanned = 0
    /// Descriptors that are not handed out yet, each with the index in `buffer` of the byte that it belongs to.
    private var marks: [(index: Int, box: DescriptorBox)] = []

    /// The capacity that an empty buffer keeps, so that thousands of idle connections cost little.
    private static let idleCapacity = 4096
    /// Maximum number of bytes already handed out that may stay in `buffer` in front of the others.
    private static let compactionThreshold = 65_536

    /// - Parameters:
    ///   - maximumMessageSize: in bytes, without the NUL.
    ///   - maximumDescriptors: the maximum number of descriptors that wait to be handed out.
    init(maximumMessageSize: Int, maximumDescriptors: Int) {
        self.maximumMessageSize = maximumMessageSize
        self.maximumDescriptors = maximumDescriptors
    }

    /// Whether no bytes wait, neither whole messages nor a part of one.
    var isEmpty: Bool { head == buffer.count }

    /// The memory in use, in bytes; 0 up to the capacity that an idle connection keeps.
    var capacity: Int { buffer.capacity > Self.idleCapacity ? buffer.capacity : 0 }

    /// Appends what one `recvmsg` has brought.
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
    /// After an error the stream cannot be cut into messages any more.
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

    /// Takes all bytes that have not been handed out, for a connection that is upgraded. Closes their descriptors.
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
