internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import UnixSockets

/// What a lane writes to its standard error: most of the time nothing, at its death the Swift runtime's reason.
///
/// The lane writes into a pipe and not into the daemon's own standard error, which is a stream to the journal: a lane that
/// was taken over could speak there in the service's name, and so much that journald drops what the service itself says.
///
/// Belongs to the loop's thread.
final class LaneWords {
    /// What is passed on of all that a lane writes in its life, in bytes. Then the pipe is not read any more, and costs
    /// nothing: what the lane writes into it fails once it is full.
    static let limit = 4096

    private let pipe: OwnedDescriptor
    private var watch: Watch?
    private var heard = 0
    private var pending: [UInt8] = []
    private let onLine: (String) -> Void

    /// - Parameters:
    ///   - pipe: the read end; the lane has the only write end.
    ///   - onLine: each line that is not empty, without its newline, invalid UTF-8 repaired.
    /// - Throws: what epoll says.
    init(
        _ pipe: consuming OwnedDescriptor, loop: EventLoop, onLine: @escaping (String) -> Void
    ) throws(Errno) {
        self.pipe = pipe
        self.onLine = onLine
        try setNonblocking(self.pipe.rawValue)
        watch = try loop.watch(self.pipe, for: .readable) { [weak self] _ in self?.receive() }
    }

    deinit {
        watch?.cancel()
    }

    /// The lane has ended: what is left is passed on, a line without an end, too.
    func finish() {
        receive()
        stop()
    }

    private func receive() {
        guard watch != nil else { return }
        var buffer = [UInt8](repeating: 0, count: Self.limit)
        let count = read(pipe.rawValue, &buffer, Self.limit - heard)
        guard count > 0 else {
            if count == 0 || errno != EAGAIN { stop() }
            return
        }
        heard += count
        for byte in buffer.prefix(count) {
            if byte == UInt8(ascii: "\n") {
                passOn()
            } else {
                pending.append(byte)
            }
        }
        if heard == Self.limit { stop() }
    }

    private func stop() {
        watch?.cancel()
        watch = nil
        passOn()
    }

    private func passOn() {
        guard !pending.isEmpty else { return }
        onLine(String(decoding: pending, as: UTF8.self))
        pending = []
    }
}
