internal import SystemPackage
internal import UnixSockets

/// The sending half of a connection: what waits to be sent, and how it goes.
///
/// Belongs to the loop's thread.
struct ReplyOutput {
    private var queue = ReplyQueue()
    /// The bytes that the last call of `changeOfUnsent` counted.
    private var counted = 0
    /// The socket takes no more for now.
    private(set) var isFull = false
    /// When the client last took something of what waits.
    private(set) var lastProgress = ContinuousClock.now
    /// How soon to look whether the client has received what is before a reply with descriptors; doubles each time.
    private var delay = Self.firstDelay

    private static let firstDelay = Duration.milliseconds(1)
    private static let lastDelay = Duration.milliseconds(64)

    var isEmpty: Bool { queue.isEmpty }

    var unsentBytes: Int { queue.unsentBytes }

    /// Adds a reply.
    ///
    /// - Returns: whether it can be tried at once: where another one waits, this one has to wait as well.
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

    /// Whether the client has received all messages with descriptors but a few.
    mutating func isCaughtUp(with socket: borrowing OwnedDescriptor) -> Bool {
        guard queue.isCaughtUp(with: socket) else { return false }
        delay = Self.firstDelay
        return true
    }

    /// When to look again whether the client has received what it has to receive first.
    mutating func nextDelay() -> Duration {
        defer { delay = min(delay * 2, Self.lastDelay) }
        return delay
    }

    /// By how many bytes what waits has changed since the last call.
    mutating func changeOfUnsent() -> Int {
        defer { counted = queue.unsentBytes }
        return queue.unsentBytes - counted
    }

    /// Drops what waits.
    mutating func clear() { queue = ReplyQueue() }
}
