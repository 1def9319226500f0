import CTestKit
import Glibc
import SluiceClient
import SluiceInterface
import TestKit
import Testing
import Unix

@Suite("The search for the service") struct ServiceFinderTests {
    @Test("tries the option, otherwise the variable, otherwise the system's socket and then the user's")
    func prefersOptionThenVariable() {
        func paths(_ option: String?, _ environment: [String: String]) -> [String] {
            ServiceFinder(explicit: option, environment: environment).paths
        }
        let full = ["SLUICE_SOCKET": "/v", "XDG_RUNTIME_DIR": "/run/user/7"]
        #expect(paths("/o", full) == ["/o"])
        #expect(paths(nil, full) == ["/v"])
        #expect(
            paths(nil, ["SLUICE_SOCKET": "", "XDG_RUNTIME_DIR": "/run/user/7"])
                == [SocketPath.system, "/run/user/7/sluice/io.sluice.Ingest"])
        #expect(paths(nil, [:]) == [SocketPath.system])
        #expect(paths(nil, ["XDG_RUNTIME_DIR": ""]) == [SocketPath.system])
    }

    @Test("skips absent and stale sockets at the default paths")
    func skipsAbsentAndStaleSockets() throws {
        let directory = try TemporaryDirectory()
        try makeStaleSocket(directory.file("system"))
        try directory.makeDirectory("sluice")
        let environment = ["XDG_RUNTIME_DIR": directory.path]
        let finder = ServiceFinder(environment: environment, system: directory.file("system"))
        #expect(try finder.find() == nil)
        let error = #expect(throws: SluiceError.self) { try finder.connect() }
        #expect(error?.kind == .noService)
        #expect(error?.message.contains(directory.file("system")) == true)

        let listener = try UnixSocket.listen(path: finder.paths[1])
        #expect(try finder.find()?.path == finder.paths[1])
        _ = listener.rawValue
    }

    @Test("fails if no service listens at the path that was given")
    func failsAtUnservedGivenPath() throws {
        let directory = try TemporaryDirectory()
        try makeStaleSocket(directory.file("stale"))
        for (name, word) in [("absent", "no such socket"), ("stale", "no process serves it")] {
            let finder = ServiceFinder(explicit: directory.file(name), environment: [:])
            let error = #expect(throws: SluiceError.self) { try finder.find() }
            #expect(error?.kind == .noService)
            #expect(error?.message.contains(word) == true)
            #expect(error?.remedy != nil)
        }
        let long = ServiceFinder(explicit: "/" + String(repeating: "x", count: 200), environment: [:])
        #expect(throws: SluiceError.self) { try long.find() }
    }

    @Test("ends at a socket that the user may not use, and tries no other")
    func endsAtForbiddenSocket() throws {
        let directory = try TemporaryDirectory()
        chmod(directory.path, 0o755)
        let listener = try UnixSocket.listen(path: directory.file("system"), mode: 0)
        let finder = ServiceFinder(environment: [:], system: directory.file("system"))
        // Root may use every socket, so this thread becomes another user for the time of the call.
        let isRoot = geteuid() == 0
        if isRoot { try #require(ctestkit_thread_becomes_user(65534) == 0) }
        let error = #expect(throws: SluiceError.self) { try finder.find() }
        if isRoot { ctestkit_thread_becomes_itself() }
        #expect(error?.kind == .permissionDenied)
        _ = listener.rawValue
    }
}
