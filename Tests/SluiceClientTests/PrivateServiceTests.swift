import Glibc
import TestKit
import Testing
import Unix

@testable import SluiceClient

@Suite("A private service") struct PrivateServiceTests {
    /// Keeps the promise about descriptor 3: reports when it is ready, and ends when the other end closes.
    private static let wellBehaved = """
        #!/bin/sh
        echo "$@" > "$0.arguments"
        printf R >&3
        cat <&3 >/dev/null
        """

    private func script(_ text: String, in directory: TemporaryDirectory) throws -> String {
        let path = try directory.write(text, to: "sluiced")
        // This does not depend on the umask, which other tests change for a moment when they open sockets.
        #expect(chmod(path, 0o755) == 0)
        return path
    }

    @Test("runs when it has been started, and is gone when it has been stopped")
    func runsFromStartToStop() throws {
        let directory = try TemporaryDirectory()
        let executable = try script(Self.wellBehaved, in: directory)
        let environment = ["XDG_RUNTIME_DIR": directory.path, "PATH": "/usr/bin:/bin"]
        let service = try PrivateService(executable: executable, environment: environment)
        #expect(service.path.hasPrefix("\(directory.path)/sluicectl-"))
        #expect(service.path.hasSuffix("/io.sluice.Ingest"))
        #expect(try readText("\(executable).arguments") == "--private --socket \(service.path)\n")
        #expect(getsid(service.processID) == service.processID)
        var status = stat()
        let own = String(service.path.dropLast("/io.sluice.Ingest".count))
        #expect(stat(own, &status) == 0 && status.st_mode & 0o777 == 0o700)
        service.stop()
        service.stop()
        #expect(kill(service.processID, 0) != 0)
        #expect(access(own, F_OK) != 0)
    }

    @Test("that does not start is an error that reports how the process ended")
    func reportsFailedStart() throws {
        let directory = try TemporaryDirectory()
        let environment = ["XDG_RUNTIME_DIR": directory.path]
        for executable in [try script("#!/bin/sh\nexit 3\n", in: directory), directory.file("none")] {
            let error = #expect(throws: SluiceError.self) {
                try PrivateService(executable: executable, environment: environment)
            }
            #expect(error?.kind == .noService)
            if executable.hasSuffix("sluiced") { #expect(error?.message.contains("exit status 3") == true) }
        }
        #expect(unlink(directory.file("sluiced")) == 0 && rmdir(directory.path) == 0)
    }

    @Test("does not inherit the variables that the service manager gave to the client")
    func dropsVariablesOfServiceManager() {
        let passed = PrivateService.environment(from: [
            "NOTIFY_SOCKET": "/n", "LISTEN_FDS": "1", "WATCHDOG_USEC": "1", "SLUICE_SOCKET": "/s",
            "http_proxy": "http://p", "HOME": "/h",
        ])
        #expect(passed == ["HOME=/h", "http_proxy=http://p"])
    }

    @Test("is reported as missing by sluicectl when SLUICED names no file")
    func reportsMissingExecutable() throws {
        let directory = try TemporaryDirectory()
        // The system's own service may run on this machine. The test then shows nothing.
        guard access("/run/sluice/io.sluice.Ingest", F_OK) != 0 else { return }
        let environment = ["SLUICED": directory.file("none"), "XDG_RUNTIME_DIR": directory.path]
        let result = try Program.run(
            try Products.path("sluicectl"), ["fetch", "http://h/"], environment: environment)
        #expect(result.exit == .exited(3))
        #expect(result.errors.contains("named by SLUICED"))
    }
}
