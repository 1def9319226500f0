import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

@Suite("Sockets passed by the service manager")
struct ListenDescriptorsTests {
    private func take(_ passed: borrowing OwnedDescriptor, _ more: [String] = []) throws -> Probe.Result {
        try Probe.run(
            ["listen"], environment: ["LISTEN_FDS=1"] + more, passed: passed.rawValue, listen: true)
    }

    private func socket(_ domain: CInt, _ type: __socket_type) throws -> OwnedDescriptor {
        OwnedDescriptor(adopting: try valueOrErrno(Glibc.socket(domain, CInt(type.rawValue), 0)))
    }

    @Test(
        "a listening Unix stream socket is taken once, with its name, and made close-on-exec and non-blocking"
    )
    func takesListeningSocketOnce() throws {
        let listener = try UnixSocket.listen(path: "@sluice-test-\(UInt64.random(in: 0 ... .max))")
        let result = try take(listener, ["LISTEN_FDNAMES=varlink"])
        #expect(
            result.lines == [
                "count: 1", "3 varlink cloexec: true nonblocking: true", "left in the environment: false",
                "again: 0",
            ])
    }

    @Test("passing no sockets is not an error, and sockets passed to another process are ignored")
    func ignoresSocketsOfOtherProcesses() throws {
        #expect(try Probe.run(["listen"]).lines.first == "count: 0")
        let other = ["LISTEN_FDS=1", "LISTEN_PID=1"]
        #expect(try Probe.run(["listen"], environment: other).lines.first == "count: 0")
    }

    @Test("a socket that is passed without a name is accepted")
    func acceptsSocketWithoutName() throws {
        let listener = try UnixSocket.listen(path: "@sluice-test-\(UInt64.random(in: 0 ... .max))")
        #expect(try take(listener).lines[1].hasPrefix("3 unknown "))
    }

    @Test("a descriptor of another kind is refused, and the error names the kind and the remedy")
    func describesWrongSocketWithRemedy() throws {
        let start = "error: the descriptor 3 (sluiced.socket) that the service manager passed is "
        let end = "not a listening Unix stream socket: "
        let useStream = "give the socket unit ListenStream= with a path, and Accept=no"
        let names = ["LISTEN_FDNAMES=sluiced.socket"]
        let internet = try socket(AF_INET, SOCK_STREAM)
        #expect(
            try take(internet, names).lines == [
                start + "a stream socket of the family AF_INET, not listening, " + end + useStream
            ])
        let datagram = try DatagramSocket()
        #expect(
            try take(datagram.descriptor, names).lines == [
                start + "a datagram socket of the family AF_UNIX, not listening, " + end + useStream
            ])
        let connected = try UnixSocket.streamPair()
        #expect(
            try take(connected.first, names).lines == [
                start + "a stream socket of the family AF_UNIX, not listening, " + end
                    + "give the socket unit Accept=no"
            ])
        let directory = try TemporaryDirectory("fifo")
        let path = directory.file("fifo")
        _ = try valueOrErrno(mkfifo(path, 0o600))
        let fifo = OwnedDescriptor(adopting: try valueOrErrno(open(path, O_RDWR | O_CLOEXEC)))
        #expect(try take(fifo, names).lines == [start + "a FIFO, " + end + useStream])
        let file = OwnedDescriptor(adopting: try valueOrErrno(open("/proc/self/status", O_RDONLY)))
        #expect(try take(file, names).lines == [start + "a regular file, " + end + useStream])
    }

    @Test("a descriptor that LISTEN_FDS announces but that is not open is an error")
    func refusesMissingDescriptor() throws {
        let result = try Probe.run(["listen"], environment: ["LISTEN_FDS=1"], listen: true)
        #expect(result.lines.first?.hasPrefix("error: ") == true)
    }

    @Test("nonsense in LISTEN_FDS is an error", arguments: ["x", "-1", "99999999999"])
    func refusesNonsenseInListenFds(value: String) throws {
        let result = try Probe.run(["listen"], environment: ["LISTEN_FDS=\(value)"], listen: true)
        #expect(result.lines.first?.hasPrefix("error: cannot take the sockets") == true)
    }

    @Test(
        "stored descriptors are told apart from sockets by their name, and from each other by their kind"
    )
    func tellsStoredDescriptorsFromSockets() throws {
        let pipe = try Pipe()
        let staging = try pipe.readEnd.reopenedForReadingAndWriting()
        let result = try Probe.run(
            ["listen"], environment: ["LISTEN_FDS=2", "LISTEN_FDNAMES=a7:a7"], passed: pipe.writeEnd.rawValue,
            second: staging.rawValue, listen: true)
        #expect(
            result.lines == [
                "count: 0", "stored a7: pipeBothEnds pipeWriteEnd cloexec: true",
                "left in the environment: false",
                "again: 0",
            ])
        let listener = try UnixSocket.listen(path: "@sluice-test-\(UInt64.random(in: 0 ... .max))")
        let sockets = try UnixSocket.streamPair()
        let both = try Probe.run(
            ["listen"], environment: ["LISTEN_FDS=2", "LISTEN_FDNAMES=9zz9:sluiced.socket"],
            passed: sockets.first.rawValue, second: listener.rawValue, listen: true)
        #expect(both.lines.first == "count: 1")
        #expect(both.lines.contains("stored 9zz9: connectedSocket cloexec: true"))
        #expect(both.lines.contains("4 sluiced.socket cloexec: true nonblocking: true"))
    }

    @Test("a listener may have any name, and no descriptor from the store keeps the service from starting")
    func listenerMayHaveAnyName() throws {
        let listener = try UnixSocket.listen(path: "@sluice-test-\(UInt64.random(in: 0 ... .max))")
        #expect(
            try take(listener, ["LISTEN_FDNAMES=ab"]).lines.prefix(2).last
                == "3 ab cloexec: true nonblocking: true")
        let datagram = try DatagramSocket()
        for name in ["ab", "0000", "stored"] {
            #expect(
                try take(datagram.descriptor, ["LISTEN_FDNAMES=\(name)"]).lines.prefix(2)
                    == ["count: 0", "stored \(name): foreign cloexec: true"])
        }
        for name in ["AB", "a-b", "abcde", "connection"] {
            #expect(
                try take(datagram.descriptor, ["LISTEN_FDNAMES=\(name)"]).lines.first?
                    .hasPrefix("error: the descriptor 3 (\(name))") == true)
        }
    }

    @Test("a descriptor that no socket unit can have made is from the store, whatever its name")
    func recognizesStoredDescriptorWithAnyName() throws {
        let pipe = try Pipe()
        let page = try SharedCounters.makeFile(name: "page")
        let result = try Probe.run(
            ["listen"], environment: ["LISTEN_FDS=2", "LISTEN_FDNAMES=a-long-name:a-long-name"],
            passed: pipe.writeEnd.rawValue, second: page.rawValue, listen: true)
        #expect(
            result.lines.prefix(2) == [
                "count: 0", "stored a-long-name: counterPage pipeWriteEnd cloexec: true",
            ])
    }
}
