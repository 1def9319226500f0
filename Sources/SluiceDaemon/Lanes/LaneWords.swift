internal import EventLoop
internal import Glibc
internal import SystemPackage
internal import Unix

/// What a lane writes to its standard error. Usually that is nothing; when the lane crashes, it is the Swift runtime's
/// reason.
///
/// The lane writes into a pipe and not into the daemon's own standard error, which is a stream to the journal. There, a
/// lane that an attacker has taken over could write in the service's name, and so much that journald drops the
/// service's own messages.
///
/// Belongs to the loop's thread.
final class LaneWords {
    /// The number of bytes that are passed on of all that a lane writes in its life. After that the daemon does not
    /// read the pipe any more, and the lane's writes fail once it is full.
    static let limit = 4096

    private let pipe: OwnedDescriptor
    private var watch: Watch?
    private var heard = 0
    private var pending: [UInt8] = []
    private let onLine: (String) -> Void

    /// - Parameters:
    ///   - pipe: the read end; the lane has the only write end.
    ///   - onLine: called with each line that is not empty, without its newline and with invalid UTF-8 repaired.
    /// - Throws: the error of fcntl(2) or epoll_ctl(2).
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

    /// The lane has ended. Passes on what is left, including a line without a newline.
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
