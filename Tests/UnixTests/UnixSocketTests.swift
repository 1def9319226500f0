import Glibc
import Synchronization
import SystemPackage
import TestKit
import Testing
import Unix

/// The socket at which the daemon listens.
@Suite("Listening on a Unix socket", .withoutForks)
struct UnixSocketTests {
    private let directory: TemporaryDirectory
    private var path: String { directory.file("socket") }

    init() throws { directory = try TemporaryDirectory() }

    /// The permission bits and the kind of a file.
    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode : 0
    }

    @Test(
        "the socket has mode 0660 or the requested one, and accepted connections have the peer's credentials"
    )
    func listensWithModeAndCredentials() throws {
        let listener = try UnixSocket.listen(path: path)
        #expect(mode(path) == S_IFSOCK | 0o660)
        let nobody = try UnixSocket.accept(from: listener) == nil
        #expect(nobody)
        let client = try UnixSocket.connect(path: path)
        let accepted = try UnixSocket.accept(from: listener)
        guard let server = accepted else { throw TestFailure("nobody came") }
        let peer = try PeerCredentials(of: server)
        #expect(peer == PeerCredentials(processID: getpid(), userID: getuid(), groupID: getgid()))
        _ = consume client
        let other = try UnixSocket.listen(path: directory.file("open"), mode: 0o666)
        #expect(mode(directory.file("open")) == S_IFSOCK | 0o666)
        _ = consume other
    }

    @Test("a socket that no process serves any more is replaced")
    func replacesStaleSocket() throws {
        try makeStaleSocket(path)
        #expect(mode(path) & S_IFMT == S_IFSOCK)
        let listener = try UnixSocket.listen(path: path)
        _ = try UnixSocket.connect(path: path)
        _ = consume listener
    }

    @Test("a socket whose listener accepts no more connections is served, and nobody waits for it")
    func doesNotWaitForFullListener() throws {
        let listener = try UnixSocket.listen(path: path, backlog: 0)
        let waiting = try UnixSocket.connect(path: path)
        let error = #expect(throws: ListenError.self) { _ = try UnixSocket.listen(path: path).rawValue }
        guard case .alreadyServed = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        _ = consume waiting
        _ = consume listener
    }

    @Test("of several listeners that find a stale socket at once, one gets it, and keeps it")
    func oneListenerWinsStaleSocket() throws {
        let path = path
        for _ in 0..<200 {
            unlink(path)
            try makeStaleSocket(path)
            let begin = try Gate()
            let listeners = Mutex<[CInt]>([])
            let threads = (0..<4).map { _ in
                TestThread {
                    guard begin.wait() else { return }
                    let won = (try? UnixSocket.listen(path: path).release()) ?? -1
                    if won >= 0 { listeners.withLock { $0.append(won) } }
                }
            }
            begin.open()
            for thread in threads { thread.join() }
            let won = listeners.withLock { $0 }
            defer { for listener in won { close(listener) } }
            #expect(won.count == 1)
            _ = try UnixSocket.connect(path: path)
        }
    }

    @Test("a directory that stays locked is reported as locked")
    func reportsLockedDirectory() throws {
        let directory = try TemporaryDirectory("socket")
        let holder = open(directory.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(holder) }
        #expect(flock(holder, LOCK_EX) == 0)
        let path = directory.file("socket")
        #expect(throws: ListenError.directoryLocked(path: path)) { _ = try UnixSocket.listen(path: path) }
        #expect(access(path, F_OK) != 0)
    }

    @Test("a socket that is served is refused, and stays served")
    func refusesServedSocket() throws {
        let listener = try UnixSocket.listen(path: path)
        #expect(throws: ListenError.alreadyServed(path: path)) { _ = try UnixSocket.listen(path: path) }
        _ = try UnixSocket.connect(path: path)
        _ = consume listener
    }

    @Test("a file that is not a socket is refused, and stays unchanged")
    func refusesFileThatIsNoSocket() throws {
        try directory.write("precious", to: "socket")
        #expect(throws: ListenError.notASocket(path: path)) { _ = try UnixSocket.listen(path: path) }
        #expect(try readText(path) == "precious")
    }

    @Test("a symbolic link is not followed")
    func doesNotFollowSymbolicLink() throws {
        let listener = try UnixSocket.listen(path: directory.file("elsewhere"))
        #expect(symlink(directory.file("elsewhere"), path) == 0)
        #expect(throws: ListenError.notASocket(path: path)) { _ = try UnixSocket.listen(path: path) }
        _ = consume listener
    }

    @Test("an abstract name has one listener at a time, and is free again when that one is closed")
    func abstractNameIsTakenOnce() throws {
        let name = "@sluice-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let listener = try UnixSocket.listen(path: name)
        #expect(throws: ListenError.alreadyServed(path: name)) { _ = try UnixSocket.listen(path: name) }
        _ = try UnixSocket.connect(path: name)
        _ = consume listener
        // A child of another test may have a copy of the listener until its execve(2).
        try eventually("\(name) is free") { try !isServed(name) }
        _ = try UnixSocket.listen(path: name)
    }

    @Test("a failure to listen or to connect is reported with its errno")
    func reportsFailuresWithErrno() throws {
        let missing = directory.file("no/socket")
        #expect(throws: ListenError.system(path: missing, call: "bind", errno: .noSuchFileOrDirectory)) {
            _ = try UnixSocket.listen(path: missing)
        }
        #expect(throws: Errno.noSuchFileOrDirectory) { _ = try UnixSocket.connect(path: missing) }
        let long = directory.file(String(repeating: "x", count: 108))
        #expect(throws: Errno.fileNameTooLong) { _ = try UnixSocket.connect(path: long) }
        try makeStaleSocket(path)
        #expect(throws: Errno.connectionRefused) { _ = try UnixSocket.connect(path: path) }
    }
}
