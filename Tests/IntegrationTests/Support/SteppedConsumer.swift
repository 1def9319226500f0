import Glibc
import SluiceInterface
import TestKit
import Unix
import Varlink

/// A consumer that reads when the test says so, on the test's thread, and checks each byte.
final class SteppedConsumer {
    let id: String
    private let service: TestService
    private let pattern: Pattern
    private var descriptor: CInt
    private var buffer = [UInt8](repeating: 0, count: 1 << 16)
    /// Bytes read so far.
    private(set) var count = 0

    init(
        _ service: TestService, _ url: String, expecting pattern: Pattern,
        _ change: (inout Ingest.FetchParameters) -> Void = { _ in }
    ) throws {
        let job = try service.open(url, change)
        id = job.id
        descriptor = job.body
        self.service = service
        self.pattern = pattern
    }

    /// A consumer on an upgraded connection. Bytes that came with the reply count.
    init(
        upgrading service: TestService, _ url: String, expecting pattern: Pattern
    ) throws {
        let connection = try service.client().upgrade(
            "\(Ingest.interfaceName).Fetch", Ingest.FetchParameters(url: url), as: Ingest.FetchReply.self,
            deadline: Deadline.ofCall)
        id = connection.reply.id
        count = connection.received.count
        guard pattern.mismatch(connection.received) == nil else { throw TestFailure("wrong bytes") }
        descriptor = try connection.socket.duplicate().release()
        self.service = service
        self.pattern = pattern
    }

    deinit { close() }

    /// Closes its end. May be called twice.
    func close() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// The job now.
    func now() throws -> Job { try service.show(id) }

    /// Waits for a state.
    @discardableResult
    func waitFor(_ state: JobState, within duration: Duration = Deadline.usual) throws -> Job {
        var job = try now()
        try eventually("the job is \(state) (it is \(job))", within: duration) {
            job = try now()
            return job.state == state
        }
        return job
    }

    /// Reads exactly this number of bytes.
    func read(_ wanted: Int, within duration: Duration = Deadline.usual) throws {
        let end = count + wanted
        let deadline = Deadline(duration)
        while count < end {
            guard try readSome(atMost: end - count, deadline) > 0 else {
                throw TestFailure("the end after \(count) bytes, \(end) were wanted: \(try now())")
            }
        }
    }

    /// Reads to the end of file, and waits for the end of the job.
    func readToEnd(within duration: Duration = Deadline.usual) throws -> Job {
        let deadline = Deadline(duration)
        while try readSome(atMost: .max, deadline) > 0 {}
        return try service.wait(id, within: duration)
    }

    private func readSome(atMost most: Int, _ deadline: Deadline) throws -> Int {
        guard waitFor(CInt(POLLIN), on: descriptor, until: deadline) else {
            throw TestFailure("no byte after \(count): \(try now())")
        }
        let got = Glibc.read(descriptor, &buffer, min(buffer.count, most))
        guard got >= 0 else { throw TestFailure("read: \(errno)") }
        let mismatch = buffer.withUnsafeBytes {
            pattern.mismatch(UnsafeRawBufferPointer(rebasing: $0[..<got]), at: count)
        }
        if let mismatch { throw TestFailure("wrong byte at \(count + mismatch)") }
        count += got
        return got
    }

    private func waitFor(_ events: CInt, on descriptor: CInt, until deadline: Deadline) -> Bool {
        TestKit.waitFor(events, on: descriptor, until: deadline)
    }

    /// The number of bytes that wait in the pipe.
    func waiting() throws -> Int {
        var bytes: CInt = 0
        guard ioctl(descriptor, UInt(FIONREAD), &bytes) == 0 else { throw TestFailure("FIONREAD: \(errno)") }
        return Int(bytes)
    }

    /// The capacity of the pipe.
    func capacity() throws -> Int {
        // F_GETPIPE_SZ, which Glibc declares only for _GNU_SOURCE.
        let capacity = fcntl(descriptor, 1032)
        guard capacity > 0 else { throw TestFailure("F_GETPIPE_SZ: \(errno)") }
        return Int(capacity)
    }
}
