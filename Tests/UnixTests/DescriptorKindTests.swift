import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import Unix

@Suite("What a descriptor is")
struct DescriptorKindTests {
    @Test("the kinds of descriptors that a job uses are told apart")
    func recognizesKindsOfJob() throws {
        let pipe = try Pipe()
        #expect(DescriptorKind(of: pipe.writeEnd) == .pipeWriteEnd)
        #expect(DescriptorKind(of: pipe.readEnd) == .pipeReadEnd)
        #expect(DescriptorKind(of: try pipe.readEnd.reopenedForReadingAndWriting()) == .pipeBothEnds)
        #expect(DescriptorKind(of: try SharedCounters.makeFile(name: "test")) == .counterPage)
        #expect(DescriptorKind(of: try RecordFile(name: "test").descriptor.duplicate()) == .recordFile)
        #expect(DescriptorKind(of: try UnixSocket.streamPair().first) == .connectedSocket)
    }

    @Test("a pipe and a connection keep their kind when the other end has gone")
    func kindOutlivesOtherEnd() throws {
        let writeEnd = try Pipe().writeEnd.duplicate()
        #expect(DescriptorKind(of: writeEnd) == .pipeWriteEnd)
        let socket = try UnixSocket.streamPair().first.duplicate()
        #expect(DescriptorKind(of: socket) == .connectedSocket)
        let path = "@sluice-test-\(UInt64.random(in: 0 ... .max))"
        let listener = try UnixSocket.listen(path: path)
        #expect(DescriptorKind(of: listener) == .foreign)
        let client = try UnixSocket.connect(path: path)
        guard let accepted = try UnixSocket.accept(from: listener) else {
            throw TestFailure("nobody waits to be accepted")
        }
        #expect(DescriptorKind(of: client) == .connectedSocket)
        #expect(DescriptorKind(of: accepted) == .connectedSocket)
    }

    @Test("everything else is foreign")
    func everythingElseIsForeign() throws {
        let directory = try TemporaryDirectory()
        #expect(mkfifo(directory.file("fifo"), 0o600) == 0)
        try directory.write(String(repeating: "x", count: 4096), to: "file")
        for path in [directory.file("fifo"), directory.file("file"), "/dev/null"] {
            let file = OwnedDescriptor(adopting: try valueOrErrno(open(path, O_RDWR | O_CLOEXEC)))
            #expect(DescriptorKind(of: file) == .foreign, "\(path)")
        }
        let folder = OwnedDescriptor(adopting: try valueOrErrno(open(directory.path, O_RDONLY | O_CLOEXEC)))
        #expect(DescriptorKind(of: folder) == .foreign)
        #expect(DescriptorKind(of: OwnedDescriptor(adopting: -1)) == .foreign)
        #expect(DescriptorKind(of: try EventSignal().descriptor) == .foreign)
        #expect(DescriptorKind(of: try UnixSocket.seqpacketPair().first) == .foreign)
        for (domain, type) in [(AF_UNIX, SOCK_STREAM), (AF_UNIX, SOCK_DGRAM), (AF_INET, SOCK_STREAM)] {
            let flags = CInt(type.rawValue | SOCK_CLOEXEC.rawValue)
            let socket = OwnedDescriptor(adopting: try valueOrErrno(Glibc.socket(domain, flags, 0)))
            #expect(DescriptorKind(of: socket) == .foreign)
        }
        let open = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("test")))
        #expect(ftruncate(open.rawValue, 4096) == 0)
        #expect(DescriptorKind(of: open) == .foreign, "its size is not sealed")
        let page = try SharedCounters.makeFile(name: "test")
        let path = "/proc/self/fd/\(page.rawValue)"
        let readOnly = OwnedDescriptor(adopting: try valueOrErrno(Glibc.open(path, O_RDONLY | O_CLOEXEC)))
        #expect(DescriptorKind(of: page) == .counterPage)
        #expect(DescriptorKind(of: readOnly) == .foreign)
    }
}
