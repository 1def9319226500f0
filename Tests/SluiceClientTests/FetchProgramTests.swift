import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix
import Varlink

/// `sluicectl` itself, against a fake service.
@Suite("sluicectl fetch") struct FetchProgramTests {
    private static let body: [UInt8] = (0..<200_003).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }

    private func environment(_ service: FakeService) -> [String: String] {
        ["SLUICE_SOCKET": service.path, "PATH": "/usr/bin:/bin"]
    }

    private func run(
        _ service: FakeService, _ arguments: [String], _ more: [String: String] = [:]
    ) throws -> ProgramResult {
        try Program.run(
            try Products.path("sluicectl"), ["fetch", "http://h/x"] + arguments,
            environment: environment(service).merging(more) { $1 })
    }

    private func lines(_ text: String) -> [Substring] { text.split(separator: "\n") }

    @Test("exits with 0 for a complete body, and prints no message")
    func completeBodyExitsWithZero() throws {
        let service = try FakeService(.init(body: Array("the body\n".utf8)))
        defer { service.stop() }
        let result = try run(service, []).successful()
        #expect(result.output == "the body\n")
        #expect(result.errors == "")
    }

    @Test("passes its options to the service")
    func passesOptionsToService() throws {
        let service = try FakeService()
        defer { service.stop() }
        _ = try run(
            service,
            [
                "--header", "A: b", "-H", "C:d", "--high-watermark", "2M", "--low-watermark", "256k",
                "--deadline", "9.5", "--connect-timeout", "2", "--silence-timeout", "3", "--max-size", "1G",
                "--retries", "7", "--if-none-match", "\"a\", W/\"b\"", "--head-timeout", "4.5",
                "--min-speed", "10K", "--identity", "--allow-downgrade", "--http1.1",
            ]
        ).successful()
        var request = Ingest.FetchParameters(url: "http://h/x")
        request.headers = [HeaderField(name: "A", value: "b"), HeaderField(name: "C", value: "d")]
        request.highWatermark = 2 << 20
        request.lowWatermark = 256 << 10
        request.deadlineSeconds = 9.5
        request.connectTimeoutSeconds = 2
        request.silenceTimeoutSeconds = 3
        request.maximumSize = 1 << 30
        request.retries = 7
        request.ifNoneMatch = "\"a\", W/\"b\""
        request.headTimeoutSeconds = 4.5
        request.minimumSpeed = 10 << 10
        request.identity = true
        request.allowDowngrade = true
        request.http1 = true
        #expect(service.requests == [request])

        // The older name of an option, and an empty variable of a script.
        _ = try run(service, ["--timeout", "9.5", "--stall-timeout", "8", "--if-none-match", ""]).successful()
        request = Ingest.FetchParameters(url: "http://h/x")
        request.deadlineSeconds = 9.5
        request.stallTimeoutSeconds = 8
        #expect(service.requests.last == request)
    }

    @Test(
        "exits with the status of a failed outcome and prints one line, even after a part of the body",
        arguments: [
            (OutcomeCode.httpStatus, 11), (.truncated, 12), (.completeUnverified, 13), (.tooLarge, 16),
            (.laneDied, 20), (.nameNotResolved, 10), (.digestMismatch, 18), (.resourceChanged, 12),
            (.headTimeout, 10), (.tooSlow, 12), (.proxyUnreachable, 10), (.proxyRefused, 10),
            (.addressDenied, 10),
        ] as [(OutcomeCode, Int32)])
    func failureExitsWithOutcomeStatus(code: OutcomeCode, status: Int32) throws {
        let service = try FakeService(.init(body: Array("part".utf8), ending: .outcome(code)))
        defer { service.stop() }
        let result = try run(service, [])
        #expect(result.exit == .exited(status))
        #expect(result.output == "part")
        #expect(result.errors.hasPrefix("sluicectl: it ended as \(code.rawValue)"))
        #expect(lines(result.errors).count == 1)

        let json = try run(service, ["--json"])
        #expect(json.exit == .exited(status))
        #expect(json.errors.hasPrefix("{") && json.errors.contains(#""code":"\#(code.rawValue)""#))
        #expect(lines(json.errors).count == 1)
    }

    @Test("gives the output file its name only when the body is complete")
    func namesFileOnlyWhenComplete() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("old", to: "f")
        for code in OutcomeCode.allCases where code != .complete {
            let service = try FakeService(.init(body: Self.body, ending: .outcome(code)))
            defer { service.stop() }
            #expect(try run(service, ["-o", path]).exit != .exited(0))
            #expect(try readText(path) == "old")
            if code == .completeUnverified {
                let other = directory.file("g")
                let accepted = try run(service, ["-o", other, "--accept-unverified"]).successful()
                #expect(try readBytes(other) == Self.body)
                #expect(lines(accepted.errors).count == 1)
                #expect(unlink(other) == 0)
            }
        }
        let service = try FakeService(.init(body: Self.body))
        defer { service.stop() }
        _ = try run(service, ["-o", path]).successful()
        #expect(try readBytes(path) == Self.body)
        // rmdir removes only an empty directory: nothing else is left in it.
        #expect(unlink(path) == 0 && rmdir(directory.path) == 0)
    }

    @Test("fails when the service claims to have delivered more bytes than arrived")
    func detectsMissingBytes() throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Array("body".utf8), claimedBytes: 5))
        defer { service.stop() }
        let result = try run(service, ["-o", directory.file("f")])
        #expect(result.exit == .exited(20))
        #expect(result.errors.contains("delivered 5 bytes, but 4 arrived"))
        #expect(rmdir(directory.path) == 0)
    }

    @Test("fails at an end of file without an outcome")
    func endWithoutOutcomeFails() throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Self.body, ending: .vanish))
        defer { service.stop() }
        let result = try run(service, ["-o", directory.file("f")], ["SLUICE_PATIENCE": "0.2"])
        #expect(result.exit == .exited(20))
        #expect(result.errors.contains("went away"))
        #expect(rmdir(directory.path) == 0)
    }

    @Test("creates no file for a request that the service refuses")
    func refusedRequestCreatesNoFile() throws {
        let directory = try TemporaryDirectory()
        let failure = VarlinkErrorReply(
            "\(Ingest.interfaceName).InvalidRequest",
            parameters: ["parameter": "url", "reason": "bad", "remedy": "mend it"])
        let service = try FakeService(.init(failure: failure))
        defer { service.stop() }
        let result = try run(service, ["-o", directory.file("f")])
        #expect(result.exit == .exited(2))
        #expect(result.errors == "sluicectl: url: bad; mend it\n")
        #expect(rmdir(directory.path) == 0)
    }

    @Test(
        "gives the pipe to a command, and exits with the command's status",
        arguments: [
            ("cat; exit 0", 0), ("cat; exit 7", 7), ("cat; kill -9 $$", 137), ("exit 9", 9), ("exit 0", 15),
        ] as [(String, Int32)])
    func returnsStatusOfCommand(script: String, status: Int32) throws {
        let service = try FakeService(.init(body: Self.body))
        defer { service.stop() }
        let result = try run(service, ["--", "sh", "-c", "\(script)"])
        #expect(result.exit == .exited(status))
        #expect((result.errors == "") == (status == 0 || script.hasPrefix("cat")))
    }

    @Test("a command's status does not hide that the body failed")
    func failedBodyOverridesCommandStatus() throws {
        let service = try FakeService(.init(body: Array("part".utf8), ending: .outcome(.truncated)))
        defer { service.stop() }
        let result = try run(service, ["--", "cat"])
        #expect(result.exit == .exited(12))
        #expect(result.output == "part")
    }

    @Test("a command that is missing or not executable is reported before anything is fetched")
    func reportsMissingCommandBeforeFetching() throws {
        let service = try FakeService()
        defer { service.stop() }
        #expect(try run(service, ["--", "no-such-command-here"]).exit == .exited(127))
        #expect(try run(service, ["--", "/etc/passwd"]).exit == .exited(126))
        #expect(try run(service, ["--", "/etc"]).exit == .exited(126))
        #expect(service.requests.isEmpty)
    }

    @Test(
        "a signal cancels the job, removes the file and determines the exit status",
        arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
    func signalCancelsJobAndRemovesFile(signal: Int32, status: Int32) throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Self.body, ending: .silence))
        defer { service.stop() }
        let program = try Program(
            try Products.path("sluicectl"), ["fetch", "http://h/x", "-o", directory.file("f")],
            environment: environment(service))
        // Once the body is in the file, a signal certainly finds the job covered.
        try eventually("the body arrives") {
            try fileSizes(in: directory).contains(Self.body.count)
        }
        // timeout(1) signals the process that it has started, and then the process group.
        program.signal(signal)
        program.signal(signal)
        let result = try program.wait()
        #expect(result.exit == .exited(status))
        #expect(service.cancellations == ["job1"])
        #expect(result.errors.hasSuffix("the job is cancelled\n"))
        #expect(rmdir(directory.path) == 0)
    }

    @Test("passes a signal on to the command, and waits for the command to end")
    func passesSignalToCommand() throws {
        let service = try FakeService(.init(body: Array("go\n".utf8), ending: .silence))
        defer { service.stop() }
        let script =
            "trap 'echo got it; exit 3' TERM; echo ready; while read line; do :; done; while :; do sleep 0.05; done"
        let program = try Program(
            try Products.path("sluicectl"), ["fetch", "http://h/x", "--", "sh", "-c", script],
            environment: environment(service))
        #expect(try program.line() == "ready")
        program.signal(SIGTERM)
        #expect(try program.line() == "got it")
        #expect(try program.wait().exit == .exited(143))
    }

    @Test("ends with status 15 and without a message when its output is closed")
    func closedOutputEndsQuietly() throws {
        let service = try FakeService(.init(body: Self.body, ending: .silence))
        defer { service.stop() }
        var pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        let program = try Program(
            try Products.path("sluicectl"), ["fetch", "http://h/x"], environment: environment(service),
            standardOutput: pipe.writeEnd.rawValue)
        pipe.writeEnd = OwnedDescriptor(adopting: -1)
        var byte: UInt8 = 0
        #expect(read(pipe.readEnd.rawValue, &byte, 1) == 1)
        pipe.readEnd = OwnedDescriptor(adopting: -1)
        let result = try program.wait()
        #expect(result.exit == .exited(15))
        #expect(result.errors == "")
    }

    @Test("draws its progress on a terminal, and clears it before its last line")
    func drawsAndClearsProgress() throws {
        let directory = try TemporaryDirectory()
        let service = try FakeService(.init(body: Self.body, ending: .silence))
        defer { service.stop() }
        let terminal = try PseudoTerminal(columns: 100)
        let program = try Program(
            try Products.path("sluicectl"), ["fetch", "http://h/x", "-o", directory.file("f")],
            environment: environment(service), standardError: terminal.terminal.rawValue)
        var text = ""
        try eventually("a line is drawn; there is “\(text)”, and the program runs: \(program.isRunning)") {
            text += terminal.takeText()
            return text.contains("0:0")
        }
        program.signal(SIGTERM)
        #expect(try program.wait().exit == .exited(143))
        text += terminal.takeText()
        #expect(text.hasPrefix("\r"))
        #expect(text.hasSuffix("\r\u{1B}[Ksluicectl: terminated; the job is cancelled\n"))
        for line in text.split(separator: "\r") { #expect(line.count < 100) }
    }

    @Test(
        "a wrong command line is reported as a usage error",
        arguments: [
            ["fetch"], ["fetch", "http://h/", "--header", "x"], ["fetch", "http://h/", "--max-size", "1Q"],
            ["fetch", "http://h/", "-o", ""], ["fetch", "http://h/", "--etag-file", ""],
            ["fetch", "http://h/", "-o", "f", "--", "cat"], ["fetch", "http://h/", "--timeout", "0"],
            ["fetch", "http://h/", "--quiet", "--progress"], ["nothing"], ["list", "extra"], ["show"],
            ["cancel"],
            ["watch", "--interval", "0.01"], ["fetch", "http://h/", "--deadline", "-1"],
            ["fetch", "http://h/", "--retries", "1001"], ["fetch", "http://h/", "--retries=-1"],
            ["fetch", "http://h/", "--digest", "md5"], ["fetch", "http://h/", "--digest", "sha256:12"],
            ["fetch", "http://h/", "--if-none-match", "\"a\"", "--etag-file", "f"],
            ["fetch", "http://h/", "--etag-file", "f", "-o", "f"],
        ])
    func reportsWrongCommandLine(arguments: [String]) throws {
        let result = try Program.run(try Products.path("sluicectl"), arguments, environment: [:])
        #expect(result.exit == .exited(64))
        #expect(result.errors.hasPrefix("sluicectl: ") || result.errors.contains("cancel"))
    }

    private func fileSizes(in directory: TemporaryDirectory) throws -> [Int] {
        guard let stream = opendir(directory.path) else { return [] }
        defer { closedir(stream) }
        var sizes: [Int] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            var status = stat()
            if stat(directory.file(name), &status) == 0 { sizes.append(Int(status.st_size)) }
        }
        return sizes
    }
}
