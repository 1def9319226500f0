import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// One descriptor, one owner. The tests observe a close through a pipe, since concurrent tests reuse descriptor
/// numbers.
@Suite("Owned descriptors", .withoutForks)
struct OwnedDescriptorTests {
    private func isHungUp(_ readEnd: CInt) -> Bool {
        var entry = pollfd(fd: readEnd, events: 0, revents: 0)
        return poll(&entry, 1, 0) == 1 && CInt(entry.revents) & POLLHUP != 0
    }

    private func split(_ pipe: consuming Pipe) -> (CInt, CInt) {
        let (readEnd, writeEnd) = (pipe.readEnd.release(), pipe.writeEnd.release())
        return (readEnd, writeEnd)
    }

    @Test(
        "a descriptor is closed when its owner ends, a duplicate stays open, and a released one is the taker's"
    )
    func ownerClosesItsDescriptor() throws {
        let (reading, writing) = split(try Pipe())
        let readEnd = OwnedDescriptor(adopting: reading)
        let duplicate: OwnedDescriptor
        do {
            let writeEnd = OwnedDescriptor(adopting: writing)
            duplicate = try writeEnd.duplicate()
            #expect(duplicate.rawValue != writeEnd.rawValue)
            #expect(fcntl(duplicate.rawValue, F_GETFD) == FD_CLOEXEC)
        }
        #expect(!isHungUp(readEnd.rawValue))
        let raw = duplicate.release()
        #expect(!isHungUp(readEnd.rawValue))
        _ = OwnedDescriptor(adopting: raw)
        #expect(isHungUp(readEnd.rawValue))
    }

    @Test("a pipe's write end is non-blocking, its read end is not; both are close-on-exec")
    func pipeEndsHaveTheirFlags() throws {
        let pipe = try Pipe()
        #expect(fcntl(pipe.readEnd.rawValue, F_GETFL) & O_NONBLOCK == 0)
        #expect(fcntl(pipe.writeEnd.rawValue, F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(pipe.readEnd.rawValue, F_GETFD) == FD_CLOEXEC)
        #expect(fcntl(pipe.writeEnd.rawValue, F_GETFD) == FD_CLOEXEC)
        #expect(try pipe.readEnd.pipeCapacity() == 65536)
    }

    @Test("flags are set and cleared, and a bad descriptor number is reported")
    func setsAndClearsFlags() throws {
        let pipe = try Pipe()
        try setCloseOnExec(pipe.readEnd.rawValue, false)
        #expect(fcntl(pipe.readEnd.rawValue, F_GETFD) == 0)
        try setNonblocking(pipe.readEnd.rawValue, true)
        #expect(fcntl(pipe.readEnd.rawValue, F_GETFL) & O_NONBLOCK != 0)
        #expect(throws: Errno.badFileDescriptor) { try setNonblocking(-1) }
        #expect(throws: Errno.badFileDescriptor) { try setCloseOnExec(-1) }
    }
}
