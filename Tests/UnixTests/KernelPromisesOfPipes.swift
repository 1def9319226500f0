import CTestKit
import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// What the design expects of `pipe(7)` and `splice(2)`.
@Suite("The kernel's promises about pipes", .withoutForks)
struct KernelPromisesOfPipes {
    private static let page = 4096

    /// Writes without waiting until the pipe is full. Returns the number of bytes written.
    private func fill(_ descriptor: CInt) -> Int {
        let bytes = [UInt8](repeating: 1, count: 4096)
        var total = 0
        while true {
            let count = write(descriptor, bytes, bytes.count)
            if count <= 0 { return total }
            total += count
        }
    }

    private func take(_ count: Int, from descriptor: CInt) -> Int {
        var bytes = [UInt8](repeating: 0, count: count)
        return read(descriptor, &bytes, count)
    }

    @Test("a reader that is gone is reported as EPOLLERR, even if no event was requested")
    func goneReaderIsReportedAsError() throws {
        let pipe = try Pipe()
        let epoll = OwnedDescriptor(adopting: try valueOrErrno(cunix_epoll_create()))
        _ = try valueOrErrno(cunix_epoll_add(epoll.rawValue, pipe.writeEnd.rawValue, 0, 7))
        var event = cunix_event()
        #expect(cunix_epoll_wait(epoll.rawValue, &event, 1, 0) == 0)
        #expect(fill(pipe.writeEnd.rawValue) == 65536)
        let writeEnd = keepWriteEnd(of: pipe)
        #expect(cunix_epoll_wait(epoll.rawValue, &event, 1, Int32(Deadline.ofCall)) == 1)
        #expect(event.events & UInt32(CUNIX_EPOLLERR) != 0)
        #expect(event.token == 7)
        _ = consume writeEnd
    }

    private func keepWriteEnd(of pipe: consuming Pipe) -> OwnedDescriptor {
        let writeEnd = pipe.writeEnd
        return writeEnd
    }

    @Test("an O_PATH place keeps no pipe alive: it opens the pipe while an end is open, and then a new one")
    func placeKeepsNoPipeAlive() throws {
        let pipe = try Pipe()
        let place = try pipe.writeEnd.pipePlace()
        _ = try pipe.writeEnd.setPipeCapacity(Self.page)
        _ = write(pipe.writeEnd.rawValue, "abc", 3)
        let consumer = try pipe.readEnd.duplicate()
        _ = consume pipe
        #expect(try place.reopenedForReading().readableBytes() == 3)
        #expect(take(10, from: consumer.rawValue) == 3)
        // The read reaches the end of file, although the O_PATH descriptor is open.
        #expect(take(10, from: consumer.rawValue) == 0)
        #expect(try place.reopenedForReading().pipeCapacity() == Self.page)
        _ = consume consumer
        let new = try place.reopenedForReading()
        #expect(try new.pipeCapacity() > Self.page)
    }

    @Test("another user's pipe can be reopened for reading if its mode allows that, and never for writing")
    func otherUserReopensOnlyForReading() throws {
        try #require(getuid() == 0, "this test needs root to become another user: run the tests as root")
        func open(_ redirection: String, _ pipe: borrowing Pipe) throws -> ProcessExit {
            try Program.run(
                "/usr/bin/setpriv",
                [
                    "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-c",
                    "exec 4\(redirection)/dev/stdin",
                ], standardInput: pipe.readEnd.rawValue
            ).exit
        }
        let pipe = try Pipe()
        #expect(try open("<", pipe) != .exited(0))
        try pipe.writeEnd.letReadersReopen()
        #expect(try open("<", pipe) == .exited(0))
        for redirection in [">", ">>", "<>"] { #expect(try open(redirection, pipe) != .exited(0)) }
    }

    @Test("a pipe reopened for reading and writing through /proc/self/fd has no hang-up, and keeps its bytes")
    func reopenedPipeHasNoHangUp() throws {
        let pipe = try Pipe()
        let both = try pipe.writeEnd.reopenedForReadingAndWriting()
        _ = write(pipe.writeEnd.rawValue, "abc", 3)
        _ = consume pipe
        #expect(try both.readableBytes() == 3)
        var entry = pollfd(fd: both.rawValue, events: Int16(POLLIN | POLLOUT), revents: 0)
        #expect(poll(&entry, 1, 0) == 1)
        #expect(CInt(entry.revents) & (POLLHUP | POLLERR) == 0)
        #expect(take(10, from: both.rawValue) == 3)
        // The pipe is empty and has no other holder: that gives EAGAIN and not an end of file.
        #expect(take(10, from: both.rawValue) == -1 && errno == EAGAIN)
        #expect(write(both.rawValue, "d", 1) == 1)
    }

    @Test("FIONREAD is exact after a part was spliced away")
    func countIsExactAfterSplice() throws {
        let staging = try Pipe()
        let consumer = try Pipe()
        let pattern = Pattern(seed: 9)
        try pattern.write(0..<50_000, to: staging.writeEnd.rawValue)
        for piece in [1, 4095, 10_001] {
            let before = try staging.readEnd.readableBytes()
            #expect(cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, piece) == piece)
            #expect(try staging.readEnd.readableBytes() == before - piece)
        }
        let moved = 1 + 4095 + 10_001
        #expect(try consumer.readEnd.readableBytes() == moved)
        var bytes = [UInt8](repeating: 0, count: moved)
        #expect(read(consumer.readEnd.rawValue, &bytes, moved) == moved)
        #expect(pattern.mismatch(bytes) == nil)
    }

    @Test("a spliced piece takes a whole slot: a pipe is full by slots while FIONREAD is small")
    func splicedPieceTakesWholeSlot() throws {
        let staging = try Pipe()
        let consumer = try Pipe()
        var moved = 0
        while true {
            // One byte each from a page of its own, so that the kernel cannot join them.
            _ = write(staging.writeEnd.rawValue, "x", 1)
            if cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, 1) != 1 { break }
            moved += 1
        }
        #expect(errno == EAGAIN)
        #expect(moved == 16)
        #expect(try consumer.readEnd.readableBytes() == 16)
        #expect(!ctestkit_is_writable(consumer.writeEnd.rawValue))
    }

    @Test(
        "splice between pipes moves what fits, and fails with EAGAIN if the target is full or the source empty"
    )
    func spliceMovesWhatFits() throws {
        let staging = try Pipe()
        let consumer = try Pipe()
        #expect(cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, 1 << 20) == -1)
        #expect(errno == EAGAIN)
        #expect(fill(staging.writeEnd.rawValue) == 65536)
        #expect(cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, 1 << 20) == 65536)
        #expect(fill(staging.writeEnd.rawValue) == 65536)
        #expect(cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, 1 << 20) == -1)
        #expect(errno == EAGAIN)
        #expect(take(3 * Self.page, from: consumer.readEnd.rawValue) == 3 * Self.page)
        #expect(cunix_splice(staging.readEnd.rawValue, consumer.writeEnd.rawValue, 1 << 20) == 3 * Self.page)
    }

    @Test("EPOLLOUT comes at the first freed slot, not at the first freed byte")
    func writableAtFirstSlot() throws {
        let pipe = try Pipe()
        #expect(fill(pipe.writeEnd.rawValue) == 65536)
        #expect(!ctestkit_is_writable(pipe.writeEnd.rawValue))
        #expect(take(Self.page - 1, from: pipe.readEnd.rawValue) == Self.page - 1)
        #expect(!ctestkit_is_writable(pipe.writeEnd.rawValue))
        #expect(take(1, from: pipe.readEnd.rawValue) == 1)
        #expect(ctestkit_is_writable(pipe.writeEnd.rawValue))
    }

    @Test("a full pipe cannot shrink (EBUSY), but it can grow")
    func fullPipeCannotShrink() throws {
        let pipe = try Pipe()
        #expect(try pipe.writeEnd.setPipeCapacity(131_072) == 131_072)
        #expect(fill(pipe.writeEnd.rawValue) == 131_072)
        #expect(throws: Errno.resourceBusy) { try pipe.writeEnd.setPipeCapacity(65536) }
        #expect(try pipe.writeEnd.setPipeCapacity(200_000) == 262_144)
        #expect(try pipe.readEnd.readableBytes() == 131_072)
    }

    @Test(
        "past pipe-user-pages-soft a user's new pipe has 8 KiB, and cannot be made larger")
    func userBudgetLimitsNewPipes() throws {
        try #require(getuid() == 0, "this test needs root to become another user: run the tests as root")
        let softPages = Int(try readText("/proc/sys/fs/pipe-user-pages-soft").filter(\.isNumber)) ?? 0
        try #require(softPages > 0)
        let inFull = softPages * Self.page / (1 << 20)
        // The copy is in a directory that any user can reach. The user is one whose account no other test touches.
        let directory = try TemporaryDirectory()
        let probe = directory.file("facts-probe")
        _ = try Program.run("/bin/cp", [try Products.path("facts-probe"), probe]).successful()
        let program = try Program(
            "/usr/bin/setpriv",
            [
                "--reuid=61847", "--regid=61847", "--clear-groups", probe, "pipes", "\(inFull + 4)",
                "\(1 << 20)",
            ])
        var lines: [String] = []
        while let line = try program.line(), line != "made" { lines.append(line) }
        #expect(lines.count == inFull + 4, "\(program.errors)")
        #expect(
            lines.first?.hasSuffix("before=65536\tafter=1048576\terrno=0") == true, "\(lines.first ?? "")")
        #expect(
            lines.last?.hasSuffix("before=8192\tafter=8192\terrno=\(EPERM)") == true, "\(lines.last ?? "")")
    }
}
