import Glibc
import SluiceInterface
import SystemPackage
import TestKit
import Testing
import Unix

extension Integration {
    /// `sluicectl`, the service and nginx together, as users have them.
    @Suite("sluicectl")
    struct Client {
        static let pattern = Pattern(seed: 61)

        private func environment(_ service: TestService?) -> [String: String] {
            var variables = TestService.environment().filter { !$0.key.hasPrefix("SLUICE_") }
            variables["SLUICE_SOCKET"] = service?.socket
            return variables
        }

        private func start(_ service: TestService, _ arguments: [String], standardOutput: CInt = -1) throws
            -> Program
        {
            try Program(
                try Products.path("sluicectl"), arguments, environment: environment(service),
                standardOutput: standardOutput)
        }

        private func run(
            _ service: TestService, _ arguments: [String], within duration: Duration = Deadline.long
        ) throws -> ProgramResult {
            try start(service, arguments).wait(within: duration)
        }

        @Test("1 GiB through a pipe, and 256 MiB into a file and a C program's fread, have the right SHA-256")
        func gibibyteHasRightDigest() throws {
            let nginx = try Nginx()
            let service = try TestService()
            let large = nginx.httpURL(try nginx.serve("large", Self.pattern, count: 1 << 30))
            let url = nginx.httpURL(try nginx.serve("file", Self.pattern, count: 256 << 20))
            let expected = try SHA256Sum.of(file: "\(nginx.root)/file")
            let program = try Products.path("sluicectl")

            var variables = environment(service)
            variables["CTL"] = program
            variables["URL"] = large
            let piped = try Program.run(
                "/bin/bash", ["-c", "set -o pipefail; \"$CTL\" fetch --quiet \"$URL\" | sha256sum"],
                environment: variables, within: Deadline.long
            ).successful()
            #expect(piped.output.hasPrefix(try SHA256Sum.of(file: "\(nginx.root)/large")))
            variables["URL"] = url

            let directory = try TemporaryDirectory()
            let file = directory.file("body")
            _ = try run(service, ["fetch", "--quiet", url, "-o", file]).successful()
            #expect(try SHA256Sum.of(file: file) == expected)
            #expect(try entries(directory.path) == ["body"])
            unlink(file)

            let source = try directory.write(Self.reader, to: "reader.c")
            let binary = directory.file("reader")
            _ = try Program.run("/usr/bin/cc", ["-O2", "-o", binary, source]).successful()
            variables["READER"] = binary
            let read = try Program.run(
                "/bin/bash",
                ["-c", "set -o pipefail; \"$CTL\" fetch --quiet \"$URL\" -- \"$READER\" | sha256sum"],
                environment: variables, within: Deadline.long
            ).successful()
            #expect(read.output.hasPrefix(expected))
            #expect(try service.status().jobs.complete == 3)
        }

        /// An old program: it knows `FILE *`, but no network.
        static let reader = """
            #include <stdio.h>
            int main(void) {
                static char buffer[65521];
                size_t count;
                while ((count = fread(buffer, 1, sizeof buffer, stdin)) > 0)
                    if (fwrite(buffer, 1, count, stdout) != count) return 3;
                return ferror(stdin) ? 4 : 0;
            }

            """

        private func entries(_ path: String) throws -> [String] {
            try Program.run("/bin/ls", ["-A", path]).successful().output.split(separator: "\n").map(
                String.init)
        }

        @Test("a failed fetch leaves no new file, keeps an old one, and exits with the status of its failure")
        func failedFetchLeavesNoFile() throws {
            let origin = try BadOrigin()
            origin.on("/cut") { connection in
                try connection.sendHead(headers: ["Content-Length: 1000000"])
                try connection.send(Self.pattern, 0..<500_000)
                connection.close()
            }
            origin.on("/404") { try $0.respond("404 No") }
            let service = try TestService()
            let directory = try TemporaryDirectory()
            let old = try directory.write("old", to: "old")
            for (path, status, words) in [("/cut", 12, "500000 of 1000000"), ("/404", 11, "404")]
                as [(String, Int32, String)]
            {
                for file in [old, directory.file("new")] {
                    let result = try run(service, ["fetch", origin.url(path), "-o", file])
                    #expect(result.exit == .exited(status), "\(result)")
                    #expect(result.errors.contains(words), "\(result)")
                }
            }
            #expect(try entries(directory.path) == ["old"])
            #expect(try readText(old) == "old")
        }

        @Test(
            "standard output gets the exact prefix of a body that breaks off, and the exit status reports the failure"
        )
        func deliversExactPrefixOnFailure() throws {
            let origin = try BadOrigin { connection in
                try connection.sendHead(headers: ["Content-Length: 1000000"])
                try connection.send(Self.pattern, 0..<300_000)
                connection.close()
            }
            let service = try TestService()
            let directory = try TemporaryDirectory()
            let file = try FileDescriptor.open(
                directory.file("out"), .writeOnly, options: [.create, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
            let program = try start(service, ["fetch", origin.url()], standardOutput: file.rawValue)
            try file.close()
            #expect(try program.wait().exit == .exited(12))
            let bytes = try readBytes(directory.file("out"))
            #expect(bytes.count == 300_000 && Self.pattern.mismatch(bytes) == nil)
        }

        @Test("a refused request and an unknown job exit with a specific status and a short message")
        func refusalsHaveOwnExitStatus() throws {
            let service = try TestService()
            for (arguments, status) in [
                (["fetch", "ftp://h/"], 2), (["fetch", "http://u:p@h/"], 2),
                (["fetch", "http://h/", "-H", "Host: x"], 2),
                (["show", "nothing"], 5), (["wait", "nothing"], 5), (["cancel", "nothing"], 5),
                (["fetch"], 64),
                (["fetch", "http://sluice.invalid/"], 10),
            ] as [([String], Int32)] {
                let result = try run(service, arguments)
                #expect(result.exit == .exited(status), "\(arguments): \(result)")
                #expect(!result.errors.isEmpty)
                if status != 64 {
                    #expect(result.errors.split(separator: "\n").count <= 2, "\(result.errors)")
                }
            }
        }

        @Test(
            "a consumer that closes early ends the job",
            arguments: [["fetch", "URL"], ["fetch", "URL", "--", "/usr/bin/head", "-c", "1000"]])
        func closingConsumerEndsTheJob(_ arguments: [String]) throws {
            let nginx = try Nginx()
            let service = try TestService()
            let path = try nginx.serve("large", Self.pattern, count: 1 << 30)
            var variables = environment(service)
            variables["CTL"] = try Products.path("sluicectl")
            let line = arguments.map { $0 == "URL" ? nginx.httpURL(path) : $0 }.joined(separator: " ")
            let result = try Program.run(
                "/bin/bash", ["-c", "\"$CTL\" \(line) | head -c 1000 | wc -c"], environment: variables)
            #expect(result.output.contains("1000"), "\(result)")
            try eventually("the job has ended") {
                let jobs = try service.status().jobs
                return jobs.streaming + jobs.stalled + jobs.connecting == 0
            }
            #expect(
                try service.call("List", as: Ingest.ListReply.self).jobs.first?.outcome?.code == .consumerGone
            )
        }

        @Test(
            "SIGINT and SIGTERM cancel the job, and sluicectl exits with 130 or 143",
            arguments: [(SIGINT, 130), (SIGTERM, 143)] as [(Int32, Int32)])
        func signalCancelsTheJob(_ signal: Int32, _ status: Int32) throws {
            let nginx = try Nginx()
            let service = try TestService()
            let path = try nginx.serve("large", Self.pattern, count: 1 << 30)
            let pipe = try Pipe()
            try setNonblocking(pipe.writeEnd.rawValue, false)
            // No process reads the output, so the client is in the middle of the copy when the signal comes.
            let program = try start(
                service, ["fetch", nginx.httpURL(path)], standardOutput: pipe.writeEnd.rawValue)
            try eventually("bytes have come") { try service.status().bytesDelivered > 0 }
            program.signal(signal)
            #expect(try program.wait().exit == .exited(status))
            let job = try service.call("List", as: Ingest.ListReply.self).jobs.first
            #expect(job?.state == .cancelled, "\(String(describing: job))")
        }

        @Test("list, show, watch, wait, cancel and status report the same state, also as JSON")
        func commandsReportSameState() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let service = try TestService()
            let job = try service.fetch(origin.url("/some/where"), expecting: Self.pattern)
            try origin.waitForRequests(1)
            for command in [["list"], ["show", job.id]] {
                let result = try run(service, command).successful()
                #expect(result.output.contains(job.id) && result.output.contains("connecting"), "\(result)")
                let json = try run(service, command + ["--json"]).successful()
                #expect(
                    json.output.contains("\"\(job.id)\"") && json.output.contains("\"connecting\""), "\(json)"
                )
            }
            let status = try run(service, ["status"]).successful()
            #expect(status.output.contains("1 connecting"), "\(status)")
            #expect(try run(service, ["status", "--json"]).successful().output.contains("\"connecting\":1"))
            let waiter = try start(service, ["wait", job.id])
            let watcher = try start(service, ["watch", job.id])
            _ = try watcher.line { $0.contains("connecting") }
            _ = try run(service, ["cancel", job.id]).successful()
            #expect(try waiter.wait().exit == .exited(14))
            #expect(try watcher.wait().output.contains("cancelled"))
        }

        @Test("if no service listens, fetch runs one of its own, which leaves nothing behind")
        func fetchRunsItsOwnService() throws {
            let origin = try BadOrigin { try $0.respond(pattern: Self.pattern, count: 3_000_000) }
            let directory = try TemporaryDirectory()
            var variables = environment(nil)
            variables["XDG_RUNTIME_DIR"] = directory.path
            variables["TMPDIR"] = directory.path
            let file = directory.file("body")
            let result = try Program.run(
                try Products.path("sluicectl"), ["fetch", origin.url(), "-o", file], environment: variables
            ).successful()
            let bytes = try readBytes(file)
            #expect(bytes.count == 3_000_000 && Self.pattern.mismatch(bytes) == nil)
            #expect(result.errors.contains("started one for this fetch"), "it is not told: \(result)")
            unlink(file)
            try eventually("the service's files are gone") {
                try Program.run("/usr/bin/find", [directory.path, "-type", "s"]).output.isEmpty
            }
        }

        @Test("Ctrl-C also ends the embedded service")
        func interruptEndsEmbeddedService() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let directory = try TemporaryDirectory()
            var variables = environment(nil)
            variables["XDG_RUNTIME_DIR"] = directory.path
            variables["TMPDIR"] = directory.path
            let program = try Program(
                try Products.path("sluicectl"), ["fetch", origin.url()], environment: variables)
            try origin.waitForRequests(1)
            let services = try Processes.children(of: program.processID)
            let lanes = try services.flatMap { try Processes.children(of: $0) }
            #expect(!lanes.isEmpty, "\(services)")
            program.signal(SIGINT)
            #expect(try program.wait().exit == .exited(130))
            try eventually("the service and its lanes are gone") {
                !(services + lanes).contains { Processes.runs($0) }
            }
        }

        @Test("SIGKILL of the client also ends the embedded service and its lanes")
        func killEndsEmbeddedService() throws {
            let origin = try BadOrigin { $0.waitForClose() }
            let directory = try TemporaryDirectory()
            var variables = environment(nil)
            variables["XDG_RUNTIME_DIR"] = directory.path
            variables["TMPDIR"] = directory.path
            let program = try Program(
                try Products.path("sluicectl"), ["fetch", origin.url()], environment: variables)
            try origin.waitForRequests(1)
            let services = try Processes.children(of: program.processID)
            let lanes = try services.flatMap { try Processes.children(of: $0) }
            program.signal(SIGKILL)
            _ = try program.wait()
            try eventually("the service and its lanes are gone") {
                !(services + lanes).contains { Processes.runs($0) }
            }
        }
    }
}
