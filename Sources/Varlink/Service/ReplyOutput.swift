internal import SystemPackage
internal import Unix

/// The sending half of a connection: the replies that wait, and how they are sent.
///
/// Belongs to the loop's thread.
struct ReplyOutput {
    private var queue = ReplyQueue()
    /// The bytes that the last call of `changeOfUnsent` counted.
    private var counted = 0
    /// Whether the socket takes no more for now.
    private(set) var isFull = false
    /// When the client last took some of the waiting bytes.
    private(set) var lastProgress = ContinuousClock.now
    /// The time until the next check whether the client has received what precedes a reply with descriptors. It
    /// doubles with each check.
    private var delay = Self.firstDelay

    private static let firstDelay = Duration.milliseconds(1)
    private static let lastDelay = Duration.milliseconds(64)

    var isEmpty: Bool { queue.isEmpty }

    var unsentBytes: Int { queue.unsentBytes }

    /// Adds a reply.
    ///
    /// - Returns: whether the caller may try to send it at once. Where another reply waits, this one has to wait,
    ///   too.
    mutating func append(_ bytes: [UInt8], descriptors: PushedDescriptors?) -> Bool {
        let mayTry = queue.isEmpty
        if mayTry { lastProgress = .now }
        queue.append(bytes, descriptors: descriptors)
        return mayTry
    }

    /// Sends as much as can be sent without waiting.
    mutating func send(to socket: borrowing OwnedDescriptor) -> ReplyQueue.Progress {
        let before = queue.unsentBytes
        let progress = queue.send(to: socket)
        if queue.unsentBytes < before {
            delay = Self.firstDelay
            lastProgress = .now
        }
        isFull = progress == .socketIsFull
        return progress
    }

    /// Whether the client has received all messages with descriptors except a few.
    mutating func isCaughtUp(with socket: borrowing OwnedDescriptor) -> Bool {
        guard queue.isCaughtUp(with: socket) else { return false }
        delay = Self.firstDelay
        return true
    }

    /// The time until the next check whether the client has received what it has to receive first.
    mutating func nextDelay() -> Duration {
        defer { delay = min(delay * 2, Self.lastDelay) }
        return delay
    }

    /// The number of bytes by which the waiting bytes have changed since the last call.
    mutating func changeOfUnsent() -> Int {
        defer { counted = queue.unsentBytes }
        return queue.unsentBytes - counted
    }

    /// Drops the waiting bytes.
    mutating func clear() { queue = ReplyQueue() }
}
