import Glibc
import SluiceClient
import SystemPackage
import TestKit
import Testing
import Unix

@Suite("Copying a body") struct BodyCopierTests {
    /// Pieces of 71 bytes and more than one pipe full, so that no boundary lines up.
    private static let body: [UInt8] = (0..<300_007).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    /// A pipe into which a thread writes the body and then closes it.
    private func source() throws -> OwnedDescriptor {
        var pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        var end = OwnedDescriptor(adopting: -1)
        swap(&end, &pipe.writeEnd)
        let raw = end.release()
        TestThread.detached {
            var sent = 0
            while sent < Self.body.count {
                let piece = min(71 + sent % 9000, Self.body.count - sent)
                let count = Self.body[sent..<sent + piece].withUnsafeBytes {
                    write(raw, $0.baseAddress, $0.count)
                }
                guard count > 0 else { break }
                sent += count
            }
            close(raw)
        }
        var readEnd = OwnedDescriptor(adopting: -1)
        swap(&readEnd, &pipe.readEnd)
        return readEnd
    }

    private func copy(to output: CInt) throws -> BodyCopier.Result {
        signal(SIGPIPE, SIG_IGN)
        return try BodyCopier(to: output).copy(from: try source())
    }

    @Test("splices into a regular file, at its offset")
    func splicesIntoRegularFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("out")
        let file = try FileDescriptor.open(path, .writeOnly, options: .create, permissions: .ownerReadWrite)
        try file.writeAll([1, 2, 3])
        let result = try file.closeAfter { try copy(to: file.rawValue) }
        #expect(result == BodyCopier.Result(end: .endOfPipe, bytes: Self.body.count, isSpliced: true))
        #expect(try readBytes(path) == [1, 2, 3] + Self.body)
    }

    @Test("writes a new file back while more is added, and every byte of it is there")
    func writesNewFileBack() throws {
        let directory = try TemporaryDirectory()
        let pattern = Pattern(seed: 5)
        let size = 17 << 20
        let source = try Pipe()
        try setNonblocking(source.writeEnd.rawValue, false)
        let (from, raw) = try (source.readEnd.duplicate().release(), source.writeEnd.duplicate().release())
        let writer = TestThread {
            for start in stride(from: 0, to: size, by: 65_536) {
                let bytes = pattern.bytes(start..<min(start + 65_536, size))
                _ = bytes.withUnsafeBytes { write(raw, $0.baseAddress, $0.count) }
            }
            close(raw)
        }
        _ = consume source
        let file = try OutputFile(path: directory.file("out"))
        let result = try BodyCopier(to: file.descriptor.rawValue, writesBack: true)
            .copy(from: OwnedDescriptor(adopting: from))
        writer.join()
        try file.commit()
        #expect(result == BodyCopier.Result(end: .endOfPipe, bytes: size, isSpliced: true))
        #expect(pattern.mismatch(try readBytes(file.path)) == nil)
    }

    @Test("uses a buffer for a file that is opened for appending")
    func buffersForAppendedFile() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("out")
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .append], permissions: .ownerReadWrite)
        try file.writeAll([1, 2, 3])
        let result = try file.closeAfter { try copy(to: file.rawValue) }
        #expect(result == BodyCopier.Result(end: .endOfPipe, bytes: Self.body.count, isSpliced: false))
        #expect(try readBytes(path) == [1, 2, 3] + Self.body)
    }

    @Test("splices into a pipe, blocking or not", arguments: [false, true])
    func splicesIntoPipe(nonblocking: Bool) throws {
        let pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, nonblocking)
        let raw = try pipe.writeEnd.duplicate().release()
        let result = Locked<BodyCopier.Result?>(nil)
        let thread = TestThread {
            result.set(try? copy(to: raw))
            close(raw)
        }
        let received = try read(pipe.readEnd.rawValue, Self.body.count)
        thread.join()
        #expect(received == Self.body)
        #expect(result.get() == BodyCopier.Result(end: .endOfPipe, bytes: Self.body.count, isSpliced: true))
    }

    @Test("works with a socket and a terminal as output")
    func copiesToSocketAndTerminal() throws {
        let pair = try UnixSocket.streamPair()
        let thread = TestThread { [raw = try pair.first.duplicate().release()] in
            _ = try? copy(to: raw)
            close(raw)
        }
        #expect(try read(pair.second.rawValue, Self.body.count) == Self.body)
        thread.join()

        let pseudo = try PseudoTerminal()
        let writer = TestThread { [raw = try pseudo.terminal.duplicate().release()] in
            _ = try? copy(to: raw)
            close(raw)
        }
        #expect(try read(pseudo.leader.rawValue, Self.body.count) == Self.body)
        writer.join()
    }

    @Test("enlarges the output's pipe for a large body, and delivers every byte")
    func enlargesPipeForLargeBody() throws {
        for (size, capacity) in [((1 << 20) - 1, 64 << 10), (8 << 20, 256 << 10)] {
            let pattern = Pattern(seed: 4)
            let source = try Pipe()
            try setNonblocking(source.writeEnd.rawValue, false)
            let output = try Pipe()
            let from = try source.readEnd.duplicate().release()
            let (raw, to) = try (source.writeEnd.duplicate().release(), output.writeEnd.duplicate().release())
            let writer = TestThread {
                for start in stride(from: 0, to: size, by: 4096) {
                    let bytes = pattern.bytes(start..<min(start + 4096, size))
                    _ = bytes.withUnsafeBytes { write(raw, $0.baseAddress, $0.count) }
                }
                close(raw)
            }
            let result = Locked<BodyCopier.Result?>(nil)
            let copier = TestThread {
                let pipe = OwnedDescriptor(adopting: from)
                let copied = try? BodyCopier(to: to).copy(from: pipe)
                result.set(copied)
            }
            #expect(pattern.mismatch(try read(output.readEnd.rawValue, size)) == nil)
            #expect(try output.readEnd.pipeCapacity() == capacity)
            writer.join()
            _ = consume source
            copier.join()
            close(to)
            #expect(result.get() == BodyCopier.Result(end: .endOfPipe, bytes: size, isSpliced: true))
        }
    }

    @Test("ends when the reader of the output has closed it")
    func endsWhenOutputCloses() throws {
        var pipe = try Pipe()
        pipe.readEnd = OwnedDescriptor(adopting: -1)
        #expect(try copy(to: pipe.writeEnd.rawValue).end == .outputClosed)
    }

    @Test("ends when the output is closed, even while the origin is silent")
    func endsWhileOriginIsSilent() throws {
        signal(SIGPIPE, SIG_IGN)
        let silent = try Pipe()
        var output = try Pipe()
        let raw = try output.writeEnd.duplicate().release()
        let from = try silent.readEnd.duplicate().release()
        let result = Locked<BodyCopier.Result?>(nil)
        let thread = TestThread {
            result.set(try? BodyCopier(to: raw).copy(from: OwnedDescriptor(adopting: from)))
            close(raw)
        }
        output.readEnd = OwnedDescriptor(adopting: -1)
        thread.join()
        #expect(result.get() == BodyCopier.Result(end: .outputClosed, bytes: 0, isSpliced: true))
    }

    @Test("reports an output that cannot be written", arguments: ["/dev/full", "/dev/null"])
    func reportsUnwritableOutput(path: String) throws {
        // The second descriptor is open only for reading.
        let file = try FileDescriptor.open(path, path == "/dev/full" ? .writeOnly : .readOnly)
        defer { try? file.close() }
        let error = #expect(throws: SluiceError.self) { try copy(to: file.rawValue) }
        #expect(error?.kind == .local)
        #expect(error?.message.contains("cannot be written") == true)
    }

    private func read(_ descriptor: CInt, _ wanted: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 37_000)
        while bytes.count < wanted {
            guard waitFor(CInt(POLLIN), on: descriptor, until: Deadline()) else {
                throw TestFailure("nothing came for 10 s after \(bytes.count) bytes")
            }
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count > 0 else { throw TestFailure("ended after \(bytes.count) bytes") }
            bytes += chunk[..<count]
        }
        return bytes
    }
}
