import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// `sluiced` as a program: its socket, its settings, its signals.
    @Suite("The daemon")
    struct Daemon {
        static let pattern = Pattern(seed: 31)

        private func run(_ arguments: [String], within duration: Duration = Deadline.usual) throws
            -> ProgramResult
        {
            let command = try TestService.command(arguments)
            return try Program.run(
                command[0], Array(command.dropFirst()), environment: TestService.environment(),
                within: duration)
        }

        /// Starts a daemon that is not private, and waits until it listens.
        private func start(_ arguments: [String], socket: String) throws -> Program {
            let command = try TestService.command(arguments + ["--socket", socket])
            let program = try Program(
                command[0], Array(command.dropFirst()), environment: TestService.environment())
            try eventually("the daemon is ready") { program.errors.contains("ready") || !program.isRunning }
            guard program.isRunning else { throw TestFailure("it ended: \(program.errors)") }
            return program
        }

        @Test("a second daemon on the same socket fails with a message, and the first continues")
        func secondDaemonFails() throws {
            let service = try TestService()
            let second = try run(["--socket", service.socket])
            #expect(second.exit == .exited(69))
            #expect(second.errors.contains("already listens on \(service.socket)"), "\(second)")
            #expect(try service.status().processID == service.processID)
        }

        @Test("a socket that a killed daemon left behind is taken over")
        func takesOverStaleSocket() throws {
            let directory = try TemporaryDirectory()
            let socket = directory.file("socket")
            let first = try start([], socket: socket)
            first.signal(SIGKILL)
            _ = try first.wait()
            #expect(access(socket, F_OK) == 0)
            let second = try start([], socket: socket)
            second.signal(SIGTERM)
            #expect(try second.wait().exit == .exited(0))
            #expect(access(socket, F_OK) != 0)
        }

        @Test(
            "the daemon refuses a path that is not a socket, and leaves it alone", arguments: [true, false])
        func leavesOtherFilesAlone(isDirectory: Bool) throws {
            let directory = try TemporaryDirectory()
            if isDirectory {
                try directory.makeDirectory("socket")
            } else {
                try directory.write("precious", to: "socket")
            }
            let result = try run(["--socket", directory.file("socket")])
            #expect(result.exit != .exited(0))
            #expect(result.errors.contains("is not a socket"), "\(result)")
            if !isDirectory { #expect(try readText(directory.file("socket")) == "precious") }
        }

        @Test("an impossible socket path is refused with a message that names it")
        func refusesImpossibleSocketPath() throws {
            let long = "/tmp/\(String(repeating: "x", count: 120))"
            for path in ["/proc/nothing/socket", long] {
                let result = try run(["--socket", path])
                #expect(result.exit != .exited(0))
                #expect(result.errors.contains(path), "\(result)")
            }
        }

        @Test("the socket has mode 0660 from the start")
        func socketHasMode0660() throws {
            let directory = try TemporaryDirectory()
            let program = try start([], socket: directory.file("socket"))
            var status = stat()
            #expect(stat(directory.file("socket"), &status) == 0)
            #expect(status.st_mode & 0o777 == 0o660)
            program.signal(SIGINT)
            #expect(try program.wait().exit == .exited(0))
        }

        @Test("an invalid command line fails with a message under the program's own name")
        func reportsInvalidCommandLine() throws {
            for arguments in [["--nonsense"], ["surplus"], ["--socket"]] {
                let result = try run(arguments)
                #expect(result.exit == .exited(64), "\(arguments)")
                #expect(result.errors.hasPrefix("sluiced: "), "\(result)")
                #expect(result.errors.contains("sluiced --help"), "\(result)")
                #expect(result.output == "")
            }
            #expect(try run(["--help"]).successful().output.contains("Exit status"))
            #expect(try run(["--version"]).successful().errors == "")
        }

        @Test(
            "a service whose lanes cannot be started is never ready, and says why",
            arguments: ["", "lanes.minimum = 0", "lanes.minimum = 5"])
        func neverReadyWithoutLanes(settings: String) throws {
            let directory = try TemporaryDirectory()
            let socket = directory.file("socket")
            let file = try directory.write(settings, to: "sluiced.toml")
            let result = try run(
                ["--config", file, "--socket", socket, "--lane", "/bin/false"])
            #expect(result.exit == .exited(69))
            #expect(
                result.errors.contains(
                    "no lane can be started: it ended with exit status 1 before it was ready"),
                "\(result)")
            #expect(!result.errors.contains("ready socket="))
            #expect(access(socket, F_OK) != 0)
            let missing = try run(["--socket", socket, "--lane", "/nowhere/lane"])
            #expect(missing.exit == .exited(78))
            #expect(
                missing.errors.hasPrefix("sluiced: there is no sluice-lane at /nowhere/lane"), "\(missing)")
        }

        @Test("a lane of another version is not used, and the log says what to do")
        func refusesLaneOfOtherVersion() throws {
            let directory = try TemporaryDirectory()
            // `ready`, with the number of a version far in the future.
            let ready = #"\013\0\0\0\0\0\0\0\347\003\0\0\0\0\0\0"#
            let lane = try directory.write("#!/bin/sh\nprintf '\(ready)' >&3\nexec sleep 20\n", to: "lane")
            chmod(lane, 0o755)
            let result = try run(
                ["--socket", directory.file("socket"), "--lane", lane])
            #expect(result.exit == .exited(69))
            #expect(
                result.errors.contains(
                    "it is of another version than the service, which is to be restarted"),
                "\(result)")
        }

        @Test("a service that keeps no lane warm still tries one at its start, and then ends it")
        func triesLaneWithoutWarmLanes() throws {
            let service = try TestService("lanes.minimum = 0\nlanes.idle_seconds = 0.1")
            try eventually("no lane is left") {
                let lanes = try service.status().lanes
                return lanes.idle + lanes.starting + lanes.busy == 0
            }
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(100)
        }

        @Test("a private daemon and its jobs end when its client is gone")
        func privateDaemonEndsWithClient() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService()
            let job = try service.fetch(origin.url(), expecting: Self.pattern)
            try origin.waitForRequests(1)
            let lanes = try Processes.children(of: service.processID)
            service.stop()
            #expect(!service.program.isRunning)
            #expect(try job.reader.waitForEnd().count == 0)
            try judge("the lanes' end", takesLessThan: .seconds(1), attempts: 1) {
                try elapsed {
                    try eventually("the lanes are gone") { !lanes.contains { Processes.runs($0) } }
                }
            }
            #expect(access(service.socket, F_OK) != 0)
        }

        @Test("SIGHUP applies new settings; a broken file changes nothing, and the log says why")
        func sighupAppliesNewSettings() throws {
            let service = try TestService("lanes.maximum = 8\nlanes.idle_seconds = 0.1")
            func rewrite(_ text: String, until words: String) throws {
                try service.directory.write(text, to: "sluiced.toml")
                let before = service.log.count
                service.program.signal(SIGHUP)
                try eventually("the log says “\(words)”") { service.log.dropFirst(before).contains(words) }
            }
            try rewrite(
                "lanes.maximum = 5\nlanes.minimum = 3\nlanes.idle_seconds = 0.1", until: "settings read again"
            )
            #expect(try service.status().lanes.limit == 5)
            try eventually("three lanes") { try service.status().lanes.idle == 3 }
            try rewrite("lanes.maximum = \"many\"", until: "lanes.maximum: it is not a whole number")
            #expect(try service.status().lanes.limit == 5)
            try rewrite("lanes.maximum = 4\nlimits.connections = 5000", until: "limits.connections")
            #expect(try service.status().lanes.limit == 4)
            #expect(service.log.contains("only at a restart"))
            // The log says so again when the same file is read again.
            try rewrite("lanes.maximum = 4\nlimits.connections = 5000", until: "limits.connections")
            unlink(service.configuration)
            let before = service.log.count
            service.program.signal(SIGHUP)
            try eventually("the log says that the file is gone") {
                service.log.dropFirst(before).contains("no such file")
            }
            #expect(try service.status().lanes.limit == 4)
            // New jobs get the new settings.
            try service.directory.write(
                "gate.high_watermark = 70000\ngate.low_watermark = 1", to: "sluiced.toml")
            service.program.signal(SIGHUP)
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            try eventually("a new job has the new watermark") {
                try service.fetch(origin.url(), expecting: Self.pattern).finishComplete(100).highWatermark
                    == 70000
            }
        }

        static let mistakes: [(String, String)] = [
            ("lanes.maximum = \"x\"", "lanes.maximum"), ("lanes.maximum = 0", "lanes.maximum"),
            ("lanes.maximum = 1.5", "lanes.maximum"), ("lanes.minimum = 97", "lanes.minimum"),
            ("lanes.minimum = -1", "lanes.minimum"), ("lanes.nothing = 1", "lanes.nothing"),
            ("nothing.x = 1", "nothing"), ("lanes = 7", "lanes"), ("x = 1", "x"),
            ("gate.high_watermark = \"1X\"", "gate.high_watermark"),
            ("gate.high_watermark = 0", "gate.high_watermark"),
            ("gate.high_watermark = -9223372036854775808", "gate.high_watermark"),
            ("lanes.maximum = 9223372036854775808", "line 1"),
            ("gate.low_watermark = \"2M\"", "gate.low_watermark"),
            ("gate.stalled_after_seconds = true", "gate.stalled_after_seconds"),
            ("timeouts.connect_seconds = -1", "timeouts.connect_seconds"),
            ("timeouts.silence_seconds = nan", "timeouts.silence_seconds"),
            ("timeouts.deadline_seconds = inf", "timeouts.deadline_seconds"),
            ("limits.jobs = 0", "limits.jobs"), ("limits.jobs_per_user = 5000", "limits.jobs_per_user"),
            ("limits.maximum_size = -1", "limits.maximum_size"),
            ("pipes.grown_capacity = 100000", "pipes.grown_capacity"),
            ("pipes.budget = 1", "pipes.budget"), ("log.level = \"loud\"", "log.level"),
            ("log.level = 3", "log.level"),
            ("service.socket = 3", "service.socket"), ("lanes.maximum = ", "line 1"),
            ("[lanes\nmaximum = 1", "line 1"), ("[[[[", "line 1"), ("\n[[[", "line 2"),
            ("[[[gate]]]", "line 1"),
            ("[.a]", "line 1"), (" [ [ [a]]]", "line 1"), ("[", "line 1"), ("[]", "line 1"), ("[[", "line 1"),
            ("[\r\n", "line 1"), ("x = [\n[[", "line 2"),
            ("lanes.maximum = 1\nlanes.maximum = 2", "line 2"),
        ]

        @Test("--check-config names the file and the key of a mistake", arguments: mistakes)
        func checkConfigNamesFileAndKey(_ text: String, _ key: String) throws {
            let directory = try TemporaryDirectory()
            let file = try directory.write(text + "\n", to: "sluiced.toml")
            let result = try run(["--check-config", file])
            #expect(result.exit != .exited(0), "\(text)")
            #expect(result.errors.contains(file), "\(result)")
            #expect(result.errors.contains(key), "\(result)")
        }

        @Test("--check-config reports all mistakes at once, and confirms a good file")
        func checkConfigReportsAllMistakes() throws {
            let directory = try TemporaryDirectory()
            let bad = try directory.write("lanes.maximum = 0\ngate.nothing = 1\n", to: "bad.toml")
            let result = try run(["--check-config", bad])
            #expect(
                result.errors.contains("lanes.maximum") && result.errors.contains("gate.nothing"), "\(result)"
            )
            let good = try directory.write(
                "[lanes]\nmaximum = 7\n[gate]\nhigh_watermark = \"2M\"\n", to: "good.toml")
            #expect(try run(["--check-config", good]).successful().output == "\(good): good\n")
            let missing = try run(["--check-config", directory.file("missing.toml")])
            #expect(missing.exit != .exited(0))
            #expect(missing.errors.contains("no such file"), "\(missing)")
            // The daemon itself does not start with such a file.
            let refused = try run(["--config", bad, "--socket", directory.file("socket")])
            #expect(refused.exit != .exited(0))
            #expect(refused.errors.contains("lanes.maximum"), "\(refused)")
        }

        @Test("the log records the course of a job, without the URL's secrets")
        func logsJobWithoutSecrets() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 100) }
            let service = try TestService()
            let job = try service.fetch(origin.url("/x?key=hunter2"), expecting: Self.pattern)
            try job.finishComplete(100)
            let lines = service.log.split(separator: "\n").filter { $0.contains("job=\(job.id)") }
            #expect(lines.count == 3, "\(lines)")
            #expect(lines.first?.contains("job accepted") == true)
            #expect(lines.last?.contains("job complete") == true)
            #expect(lines.last?.contains("bytes=100") == true, "\(lines)")
            #expect(lines.last?.contains("http_status=200") == true, "\(lines)")
            #expect(!service.log.contains("hunter2"))
        }
    }
}
