import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// Descriptor passing.
@Suite("Messages with descriptors", .withoutForks)
struct SocketMessageTests {
    private func send(_ text: String, _ descriptors: [CInt] = [], to socket: borrowing OwnedDescriptor) throws
        -> Int
    {
        try Array(text.utf8).withUnsafeBytes {
            try SocketMessage.send($0, descriptors: descriptors, to: socket)
        }
    }

    private func receive(_ room: Int = 100, from socket: borrowing OwnedDescriptor) throws -> Received {
        var bytes = [UInt8](repeating: 0, count: room)
        let received = Received()
        try bytes.withUnsafeMutableBytes { buffer in
            received.take(try SocketMessage.receive(into: buffer, from: socket, dontWait: true))
        }
        received.text = String(decoding: bytes[..<received.count], as: UTF8.self)
        return received
    }

    /// Holds a message where `#expect` can examine it, since `#expect` supports only copyable values.
    private final class Received {
        var text = ""
        var count = 0
        var isTruncated = false
        private var descriptors = ReceivedDescriptors()
        var descriptorCount: Int { descriptors.count }

        func take(_ message: consuming ReceivedMessage) {
            count = message.count
            isTruncated = message.isTruncated
            descriptors = message.descriptors
        }

        func descriptor(_ index: Int) -> OwnedDescriptor? { descriptors.take(index) }
        func has(_ index: Int) -> Bool { descriptor(index) != nil }
    }

    /// A file in memory that holds its number.
    private func numbered(_ number: Int) throws -> OwnedDescriptor {
        let file = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("\(number)")))
        #expect(ftruncate(file.rawValue, number) == 0)
        return file
    }

    private func size(_ descriptor: borrowing OwnedDescriptor) -> Int {
        var status = stat()
        return fstat(descriptor.rawValue, &status) == 0 ? status.st_size : -1
    }

    @Test("descriptors arrive in the order in which they were sent, close-on-exec")
    func descriptorsArriveInOrder() throws {
        let pair = try UnixSocket.seqpacketPair()
        let first = try numbered(1)
        let second = try numbered(2)
        let third = try numbered(3)
        #expect(try send("abc", [third.rawValue, first.rawValue, second.rawValue], to: pair.first) == 3)
        let received = try receive(from: pair.second)
        #expect(received.text == "abc")
        #expect(received.descriptorCount == 3)
        #expect(!received.isTruncated)
        for (index, expected) in [3, 1, 2].enumerated() {
            let taken = received.descriptor(index)
            guard let descriptor = taken else { throw TestFailure("no descriptor \(index)") }
            let found = size(descriptor)
            #expect(found == expected)
            #expect(fcntl(descriptor.rawValue, F_GETFD) == FD_CLOEXEC)
        }
        #expect(!received.has(0))
        #expect(!received.has(3))
    }

    @Test("descriptors that the receiver does not take are closed with the message")
    func closesUntakenDescriptors() throws {
        let pair = try UnixSocket.seqpacketPair()
        let pipe = try Pipe()
        _ = try send("x", [pipe.writeEnd.rawValue], to: pair.first)
        let readEnd = keepReadEnd(of: consume pipe)
        var entry = pollfd(fd: readEnd.rawValue, events: Int16(POLLIN), revents: 0)
        // In flight the descriptor is still open.
        #expect(poll(&entry, 1, 0) == 0)
        do { _ = try receive(from: pair.second) }
        #expect(poll(&entry, 1, 0) == 1 && CInt(entry.revents) & POLLHUP != 0)
    }

    private func keepReadEnd(of pipe: consuming Pipe) -> OwnedDescriptor {
        let readEnd = pipe.readEnd
        return readEnd
    }

    @Test("a packet larger than the buffer is marked as truncated")
    func marksTruncatedPacket() throws {
        let pair = try UnixSocket.seqpacketPair()
        _ = try send("abcdef", to: pair.first)
        let received = try receive(3, from: pair.second)
        #expect(received.text == "abc")
        #expect(received.isTruncated)
    }

    @Test(
        "packets keep their boundaries; the end is a count of 0; a peer that has gone gives EPIPE and no signal"
    )
    func packetsKeepBoundaries() throws {
        let pair = try UnixSocket.seqpacketPair()
        _ = try send("one", to: pair.first)
        _ = try send("two", to: pair.first)
        #expect(try receive(from: pair.second).text == "one")
        #expect(try receive(from: pair.second).text == "two")
        #expect(throws: Errno.wouldBlock) { _ = try receive(from: pair.second) }
        let other = keepSecond(of: consume pair)
        #expect(try receive(from: other).count == 0)
        #expect(throws: Errno.brokenPipe) { _ = try send("x", to: other) }
    }

    private func keepSecond(of pair: consuming SocketPair) -> OwnedDescriptor {
        let second = pair.second
        return second
    }

    @Test("more descriptors than a message can carry are refused, and none is sent")
    func refusesTooManyDescriptors() throws {
        let pair = try UnixSocket.streamPair()
        let many = [CInt](repeating: pair.first.rawValue, count: SocketMessage.maximumDescriptors + 1)
        #expect(throws: Errno.invalidArgument) { _ = try send("x", many, to: pair.first) }
        #expect(throws: Errno.wouldBlock) { _ = try receive(from: pair.second) }
    }

    @Test("sending to a full stream fails with EWOULDBLOCK if the caller asks not to wait")
    func fullStreamWouldBlock() throws {
        let pair = try UnixSocket.streamPair()
        let block = [UInt8](repeating: 0, count: 65536)
        #expect(throws: Errno.wouldBlock) {
            while true {
                _ = try block.withUnsafeBytes { try SocketMessage.send($0, to: pair.first, dontWait: true) }
            }
        }
    }
}
