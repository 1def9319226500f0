internal import SystemPackage
internal import UnixSockets

/// Descriptors on their way out; closed once they are sent, or with the queue.
final class PushedDescriptors {
    private(set) var raw: [CInt] = []

    func push(_ descriptor: consuming OwnedDescriptor) -> Int {
        raw.append(descriptor.release())
        return raw.count - 1
    }

    deinit {
        for number in raw { _ = OwnedDescriptor(adopting: number) }
    }
}

/// The replies that a client has yet to take, in their order.
///
/// Each message goes out in a `sendmsg` of its own, so the kernel never has two of them in one buffer. A message with
/// descriptors moreover waits until its client has received everything before it: a reader whose `recvmsg` returns
/// two messages and some descriptors could not tell whose they are. After it no such care is needed, since the kernel
/// ends a `recvmsg` behind the buffer that carries descriptors (see `MessageDecoder`). So one with descriptors does not
/// wait for another one with descriptors: such replies one after the other never do.
struct ReplyQueue {
    private struct Reply {
        let bytes: [UInt8]
        var sent = 0
        var descriptors: PushedDescriptors?
    }

    /// What has to happen before more can be sent.
    enum Progress: Equatable {
        /// Nothing: all is sent.
        case drained
        /// The socket has to become writable.
        case socketIsFull
        /// The client has to receive what was sent. The kernel has no event for that: look again a little later.
        case mustBeReceived
        /// The client has gone.
        case failed
    }

    private var replies: [Reply] = []
    /// How many at the front of `replies` are done.
    private var head = 0
    /// The bytes that wait.
    private(set) var unsentBytes = 0
    /// Messages with descriptors that were sent since the client was last seen to have received everything.
    private var underWay = 0
    /// As many may be under way to a client that does not receive them: the kernel counts them all together as ours
    /// (`unix(7)`, ETOOMANYREFS).
    private static let maximumUnderWay = 8
    /// Whether what was sent last ends with the buffer that its descriptors are in.
    private var endsWithDescriptors = false

    var isEmpty: Bool { unsentBytes == 0 }

    /// Whether the client has received all messages with descriptors but a few.
    mutating func isCaughtUp(with socket: borrowing OwnedDescriptor) -> Bool {
        guard underWay >= Self.maximumUnderWay else { return true }
        // Where the kernel does not say, the client has gone, and sending will tell.
        guard (try? SocketMessage.isReceivedByPeer(socket)) ?? true else { return false }
        underWay = 0
        return true
    }

    mutating func append(_ bytes: [UInt8], descriptors: PushedDescriptors?) {
        replies.append(Reply(bytes: bytes, descriptors: descriptors))
        unsentBytes += bytes.count
    }

    /// Sends as much as can be sent without waiting.
    mutating func send(to socket: borrowing OwnedDescriptor) -> Progress {
        do {
            while head < replies.count {
                let descriptors = replies[head].descriptors
                if descriptors != nil, !endsWithDescriptors, try !SocketMessage.isReceivedByPeer(socket) {
                    return .mustBeReceived
                }
                let sent = try socket.send(replies[head].bytes[replies[head].sent...], descriptors?.raw ?? [])
                // The kernel may cut more than a page into several buffers; descriptors are in the first of them.
                endsWithDescriptors = descriptors != nil && sent <= 4096
                if descriptors != nil { underWay += 1 }
                // They have gone with the first byte; ours are closed here.
                replies[head].descriptors = nil
                replies[head].sent += sent
                unsentBytes -= sent
                if replies[head].sent == replies[head].bytes.count { removeFirst() }
            }
            return .drained
        } catch .wouldBlock {
            return .socketIsFull
        } catch .tooManyReferences {
            // Our user has as many descriptors under way as it may have (`unix(7)`): others have to receive theirs.
            return .mustBeReceived
        } catch {
            return .failed
        }
    }

    private mutating func removeFirst() {
        head += 1
        if head == replies.count {
            replies = []
            head = 0
        } else if head >= 64, head >= replies.count / 2 {
            replies.removeFirst(head)
            head = 0
        }
    }
}

extension OwnedDescriptor {
    /// Sends without waiting, whatever O_NONBLOCK says.
    borrowing func send(_ bytes: ArraySlice<UInt8>, _ descriptors: [CInt] = []) throws(Errno) -> Int {
        let result: Result<Int, Errno> = bytes.withUnsafeBytes { bytes in
            do throws(Errno) {
                return .success(
                    try SocketMessage.send(bytes, descriptors: descriptors, to: self, dontWait: true))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
