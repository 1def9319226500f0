internal import SystemPackage
internal import Unix

/// Descriptors that wait to be sent. They are closed once they are sent, or with the queue.
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

/// The replies that a client has not taken yet, in order.
///
/// Each message goes out in a `sendmsg` of its own, so the kernel never has two of them in one buffer. In addition, a
/// message with descriptors waits until its client has received everything before it: a client whose `recvmsg`
/// returns two messages and some descriptors could not tell to which message they belong. The message after it need
/// not wait, since the kernel ends a `recvmsg` behind the buffer that carries descriptors (see `MessageDecoder`). For
/// the same reason a message with descriptors does not wait for a message with descriptors directly before it.
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
        /// The client has to receive what was sent. The kernel reports no event for that: try again a little later.
        case mustBeReceived
        /// The client has gone.
        case failed
    }

    private var replies: [Reply] = []
    /// The number of replies at the front of `replies` that are done.
    private var head = 0
    /// The bytes that wait to be sent.
    private(set) var unsentBytes = 0
    /// Messages with descriptors that were sent since the client was last seen to have received everything.
    private var underWay = 0
    /// Maximum number under way to a client that does not receive them: the kernel counts the descriptors of all
    /// clients together as this process's (`unix(7)`, ETOOMANYREFS).
    private static let maximumUnderWay = 8
    /// Whether the last bytes that were sent are in the same kernel buffer as their descriptors.
    private var endsWithDescriptors = false

    var isEmpty: Bool { unsentBytes == 0 }

    /// Whether the client has received all messages with descriptors except a few.
    mutating func isCaughtUp(with socket: borrowing OwnedDescriptor) -> Bool {
        guard underWay >= Self.maximumUnderWay else { return true }
        // The call fails where the client has gone. Sending reports that.
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
                // The kernel may split more than a page into several buffers; the first of them carries the
                // descriptors.
                endsWithDescriptors = descriptors != nil && sent <= 4096
                if descriptors != nil { underWay += 1 }
                // The descriptors have gone with the first byte. The copies of this process are closed here.
                replies[head].descriptors = nil
                replies[head].sent += sent
                unsentBytes -= sent
                if replies[head].sent == replies[head].bytes.count { removeFirst() }
            }
            return .drained
        } catch .wouldBlock {
            return .socketIsFull
        } catch .tooManyReferences {
            // This process's user has the maximum number of descriptors under way (`unix(7)`): clients have to
            // receive some first.
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
    /// Sends without waiting, whether O_NONBLOCK is set or not.
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
