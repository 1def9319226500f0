import Foundation
import Glibc
import TestKit
import Testing
import Unix
import Varlink

/// Other implementations against this one. A missing program is a failure: a test that does not run proves nothing.
@Suite("Conformance") struct ConformanceTests {
    private static let goProgram = "/usr/bin/varlink-go-certification"

    /// The certification program, in the directory of the test programs.
    private func certification() throws -> String {
        let executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        // The tests run as a program of their own, or in a runner that gets the path of the bundle.
        let candidates = ([executable] + CommandLine.arguments).map { path in
            path.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/varlink-certification"
        }
        let found = candidates.first { access($0, X_OK) == 0 }
        return try #require(
            found, "varlink-certification is not beside the tests: build it with `swift build --build-tests`")
    }

    /// The Python that has the package `varlink`.
    private func python() throws -> String {
        let name = ProcessInfo.processInfo.environment["SLUICE_TEST_PYTHON"] ?? "python3"
        let path = try #require(Self.search(name), "\(name) is not there: set SLUICE_TEST_PYTHON")
        let check = try run(path, ["-c", "import varlink"])
        try #require(
            check.status == .exited(0),
            """
            \(path) has no package varlink: `python3 -m venv DIR && DIR/bin/pip install varlink`, and \
            SLUICE_TEST_PYTHON=DIR/bin/python
            """)
        return path
    }

    private func goCertification() throws -> String {
        try #require(access(Self.goProgram, X_OK) == 0, "install Debian's package varlink-go")
        return Self.goProgram
    }

    private static func search(_ name: String) -> String? {
        if name.contains("/") { return access(name, X_OK) == 0 ? name : nil }
        return (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
            "\($0)/\(name)"
        }
        .first { access($0, X_OK) == 0 }
    }

    private var environment: [String] {
        ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
    }

    /// Runs a program to its end, for at most thirty seconds.
    private func run(_ path: String, _ arguments: [String]) throws -> (status: ProcessExit?, output: String) {
        let directory = try temporaryDirectory()
        defer { removeDirectory(directory) }
        let output = open("\(directory)/output", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        let process = try SpawnedProcess(
            path: path, arguments: arguments, environment: environment, standardOutput: output,
            standardError: output)
        close(output)
        var status = try process.wait(milliseconds: Int32(Deadline.ofCall))
        if status == nil {
            process.signal(SIGKILL)
            status = try process.wait()
        }
        return (status, (try? String(contentsOfFile: "\(directory)/output", encoding: .utf8)) ?? "")
    }

    /// Runs a service while `body` talks to it.
    private func withService(
        _ path: String, _ arguments: (_ socket: String) -> [String], _ body: (_ socket: String) throws -> Void
    ) throws {
        let directory = try temporaryDirectory()
        defer { removeDirectory(directory) }
        let socket = "\(directory)/socket"
        let process = try SpawnedProcess(
            path: path, arguments: arguments(socket), environment: environment)
        defer {
            process.signal(SIGKILL)
            _ = try? process.wait()
        }
        // The other project's program does not report when it listens.
        try eventually("\(path) listens") { (try? UnixSocket.connect(path: socket)) != nil }
        try body(socket)
    }

    @Test("Python's client passes against our service")
    func pythonClientPasses() throws {
        let python = try python()
        try withService(certification(), { [$0] }) { socket in
            let result = try run(
                python, ["-m", "varlink.tests.test_certification", "--client", "--varlink=unix:\(socket)"])
            #expect(result.status == .exited(0), "\(result.output)")
            #expect(result.output.contains("Certification passed"), "\(result.output)")
        }
    }

    @Test("Go's client passes against our service")
    func goClientPasses() throws {
        let go = try goCertification()
        try withService(certification(), { [$0] }) { socket in
            let result = try run(go, ["-client", "-varlink", "unix:\(socket)"])
            #expect(result.status == .exited(0), "\(result.output)")
            #expect(result.output.contains("End: 'true'"), "\(result.output)")
        }
    }

    @Test("our client passes against Python's service")
    func passesAgainstPythonService() throws {
        let program = try certification()
        try withService(
            python(), { ["-m", "varlink.tests.test_certification", "--varlink=unix:\($0)"] }
        ) { socket in
            let result = try run(program, ["--client", socket])
            #expect(result.status == .exited(0), "\(result.output)")
        }
    }

    @Test("our client passes against Go's service")
    func passesAgainstGoService() throws {
        let program = try certification()
        try withService(goCertification(), { ["-varlink", "unix:\($0)"] }) { socket in
            let result = try run(program, ["--client", socket])
            #expect(result.status == .exited(0), "\(result.output)")
        }
    }

    @Test("Python's command line shows our service, its interfaces and their errors")
    func pythonCommandLineShowsService() throws {
        let python = try python()
        try withService(certification(), { [$0] }) { socket in
            let info = try run(python, ["-m", "varlink.cli", "info", "unix:\(socket)"])
            #expect(info.output.contains("Vendor: Varlink"), "\(info.output)")
            #expect(info.output.contains("org.varlink.certification"), "\(info.output)")
            for interface in ["org.varlink.certification", "org.varlink.service"] {
                let help = try run(python, ["-m", "varlink.cli", "help", "unix:\(socket)/\(interface)"])
                #expect(help.output.contains("interface \(interface)"), "\(help.output)")
            }
            let call = try run(
                python, ["-m", "varlink.cli", "call", "unix:\(socket)/org.varlink.certification.Start"])
            #expect(call.output.contains("client_id"), "\(call.output)")
            let wrong = try run(
                python,
                [
                    "-m", "varlink.cli", "call", "unix:\(socket)/org.varlink.certification.Test02",
                    #"{"client_id": "x", "bol": true}"#,
                ])
            #expect(wrong.output.contains("org.varlink.service.InvalidParameter"), "\(wrong.output)")
            #expect(wrong.output.contains("bol"), "\(wrong.output)")
        }
    }

    @Test("A service that is out of descriptors lets clients wait, without spinning, and serves them later")
    func waitsForFreeDescriptors() throws {
        let program = try certification()
        try withService(
            "/bin/sh", { ["-c", "ulimit -n 12; exec \"$0\" \"$1\"", program, $0] }
        ) { socket in
            // This connection stays open, so that only the clients change the number of descriptors.
            let first = try UnixSocket.connect(path: socket)
            let processID = try PeerCredentials(of: first).processID
            var served: [VarlinkClient] = []
            while try FileManager.default.contentsOfDirectory(atPath: "/proc/\(processID)/fd").count < 12 {
                try #require(served.count < 20, "the limit does not show")
                let client = try VarlinkClient(connectedTo: socket)
                try client.send("org.varlink.service.GetInfo", mode: .single)
                try #require(waitFor(POLLIN, on: client.rawDescriptor, until: Deadline()))
                served.append(client)
            }
            #expect(!served.isEmpty)
            let waiting = try VarlinkClient(connectedTo: socket)
            try waiting.send("org.varlink.service.GetInfo", mode: .single)
            let before = try processorTicks(processID)
            #expect(!waitFor(POLLIN, on: waiting.rawDescriptor, until: Deadline(exactly: .seconds(1))))
            // The unit is a hundredth of a second; the test took a hundred of them.
            #expect(try processorTicks(processID) - before < 20)
            served = []
            _ = try waiting.next(deadline: Deadline.ofCall)
        }
    }

    /// The processor time of the process (`proc_pid_stat(5)`, utime and stime).
    private func processorTicks(_ processID: Int32) throws -> Int {
        let text = try String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8)
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        try #require(fields.count > 12)
        return (Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)
    }
}
