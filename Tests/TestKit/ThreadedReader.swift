internal import Glibc
internal import SystemPackage
public import Unix

/// A consumer that reads a pipe on a thread of its own, at a chosen pace, and checks each byte.
///
/// ## Concurrency model
/// Only the thread reads; its progress is in a monitor. A reader that is cancelled or released closes the pipe within
/// milliseconds, even during a read.
public final class ThreadedReader: Sendable {
    /// How it reads.
    public enum Pace: Sendable {
        /// As fast as it can.
        case full
        /// As fast as it can up to this number of bytes, then nothing until `release`.
        case stopAt(Int)
        /// This number of bytes per `read(2)`.
        case pieces(Int)
        /// This number of bytes, then a pause, repeatedly.
        case slow(piece: Int, pause: Duration)
    }

    /// What the reader has seen.
    public struct Report: Sendable {
        /// Bytes read.
        public var count = 0
        /// The offset in the body of the first byte that differs from the expected one; nil where none does.
        public var firstMismatch: Int?
        /// Whether the end of file was read.
        public var atEnd = false
        /// The error with which `read(2)` failed.
        public var failure: CInt?
    }

    private struct State {
        var report = Report()
        var isFinished = false
    }

    private let state = Monitor(State())
    private let released: Gate
    private let cancelled: Gate
    private let sum: SHA256Sum?

    /// Starts to read.
    ///
    /// - Parameters:
    ///   - descriptor: the read end; closed at the end of file, or by `cancel`.
    ///   - expected: the pattern with which the bytes are compared, if given.
    ///   - offset: the position of the first byte in the pattern.
    ///   - hashing: whether to compute the SHA-256 of all bytes, too (`waitForDigest`).
    public init(
        _ descriptor: consuming OwnedDescriptor, expecting expected: Pattern? = nil, from offset: Int = 0,
        pace: Pace = .full, hashing: Bool = false
    ) throws {
        released = try Gate()
        cancelled = try Gate()
        sum = hashing ? try SHA256Sum() : nil
        let handle = descriptor.release()
        let work = Work(
            expected: expected, offset: offset, pace: pace, sum: sum, released: released,
            cancelled: cancelled,
            state: state)
        TestThread.detached {
            work.read(OwnedDescriptor(adopting: handle))
            work.state.update { $0.isFinished = true }
        }
    }

    deinit { cancel() }

    /// What the reader has seen so far.
    public var report: Report { state.read { $0.report } }

    /// Bytes read so far.
    public var count: Int { state.read { $0.report.count } }

    /// Lets a reader that has stopped at its mark continue at full speed.
    public func release() { released.open() }

    /// Closes the read end and waits until it is closed. Safe to call twice.
    public func cancel() {
        cancelled.open()
        _ = state.wait(until: Deadline()) { $0.isFinished }
    }

    /// Waits until at least this number of bytes have been read.
    ///
    /// - Throws: `TestFailure` past the deadline, or where the end comes first.
    public func waitForCount(_ count: Int, within duration: Duration = Deadline.usual) throws {
        let deadline = Deadline(duration)
        _ = state.wait(until: deadline) { $0.report.count >= count || $0.isFinished }
        let seen = self.count
        guard seen >= count else {
            throw TestFailure("read \(seen) bytes instead of \(count) within \(deadline.waited)")
        }
    }

    /// Waits for the end of file.
    ///
    /// - Throws: `TestFailure` past the deadline, and where a byte differs from the expected one.
    @discardableResult
    public func waitForEnd(within duration: Duration = Deadline.long) throws -> Report {
        let deadline = Deadline(duration)
        _ = state.wait(until: deadline) { $0.isFinished }
        let report = self.report
        if let place = report.firstMismatch {
            throw TestFailure("wrong byte at offset \(place) of \(report.count)")
        }
        guard report.atEnd else {
            throw TestFailure("no end of file after \(deadline.waited), \(report.count) bytes read")
        }
        return report
    }

    /// Waits for the end of file and returns the SHA-256 of the bytes. Call it once.
    public func waitForDigest(within duration: Duration = Deadline.long) throws -> String {
        try waitForEnd(within: duration)
        guard let sum else { throw TestFailure("this reader was not asked to hash") }
        return try sum.finish()
    }

    /// The state of the thread. It is separate from the reader so that the thread does not keep the reader alive.
    private struct Work: Sendable {
        let expected: Pattern?
        let offset: Int
        let pace: Pace
        let sum: SHA256Sum?
        let released: Gate
        let cancelled: Gate
        let state: Monitor<State>

        func read(_ descriptor: consuming OwnedDescriptor) {
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            var count = 0
            while true {
                guard let room = nextPiece(after: count, capacity: buffer.count), room > 0 else { return }
                guard waitForEither(descriptor.rawValue, cancelled.descriptor) else { return }
                let got = Glibc.read(descriptor.rawValue, &buffer, room)
                if got < 0, errno == EINTR || errno == EAGAIN { continue }
                if got <= 0 {
                    let failure = got < 0 ? errno : nil
                    state.update { state in
                        state.report.atEnd = got == 0
                        state.report.failure = failure
                    }
                    return
                }
                let mismatch = buffer.withUnsafeBytes { bytes in
                    expected?.mismatch(UnsafeRawBufferPointer(rebasing: bytes[..<got]), at: offset + count)
                }
                if let sum { _ = try? FileDescriptor(rawValue: sum.input).writeAll(buffer[..<got]) }
                let place = mismatch.map { offset + count + $0 }
                count += got
                let total = count
                state.update { state in
                    state.report.count = total
                    if state.report.firstMismatch == nil { state.report.firstMismatch = place }
                }
            }
        }

        /// The number of bytes to read next, after a wait where the pace requires one; nil when cancelled.
        private func nextPiece(after count: Int, capacity: Int) -> Int? {
            switch pace {
            case .full: return capacity
            case .pieces(let size): return min(size, capacity)
            case .stopAt(let mark):
                if count < mark, !released.isOpen { return min(capacity, mark - count) }
                guard waitForEither(released.descriptor, cancelled.descriptor) else { return nil }
                return capacity
            case .slow(let piece, let pause):
                if count > 0, waitFor(CInt(POLLIN), on: cancelled.descriptor, until: Deadline(exactly: pause))
                {
                    return nil
                }
                return min(piece, capacity)
            }
        }

        /// Waits until the first descriptor is readable (or at its end); false where the second one is.
        private func waitForEither(_ wanted: CInt, _ end: CInt) -> Bool {
            var entries = [
                pollfd(fd: wanted, events: Int16(POLLIN), revents: 0),
                pollfd(fd: end, events: Int16(POLLIN), revents: 0),
            ]
            while poll(&entries, 2, -1) < 0 {}
            return entries[1].revents == 0
        }
    }
}
