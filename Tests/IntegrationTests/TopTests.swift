import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

extension Integration {
    /// `sluicectl top` in a terminal with a user.
    @Suite("top") final class TopTests {
        private let nginx: Nginx
        private let service: TestService
        private let terminal: Tmux
        private let program: String

        init() throws {
            var options = NginxOptions()
            options.serverConfiguration = "location /slow/ { rewrite ^/slow(/.*) $1 break; limit_rate 500k; }"
            nginx = try Nginx(options)
            service = try TestService()
            terminal = try Tmux(columns: 80, lines: 24)
            program = try Products.path("sluicectl")
        }

        /// Two jobs whose consumers do not read, and one that flows slowly.
        private func jobs() throws -> (stalled: [String], streaming: TestJob) {
            let path = try nginx.serve("body", Pattern(), count: 64 << 20)
            var stalled: [String] = []
            for _ in 0..<2 {
                let job = try service.open(nginx.httpURL(path))
                bodies.append(OwnedDescriptor(adopting: job.body).release())
                stalled.append(job.id)
            }
            let streaming = try service.fetch(nginx.httpURL("/slow\(path)"))
            for id in stalled {
                try eventually("\(id) is stalled") { try service.show(id).state == .stalled }
            }
            try streaming.waitFor(.streaming)
            return (stalled, streaming)
        }
        private var bodies: [CInt] = []
        deinit { for body in bodies { close(body) } }

        private func start(_ arguments: String = "") throws {
            try terminal.type("\(program) --socket \(service.socket) top \(arguments)")
            try terminal.see("the table") { lines in lines.contains { $0.hasPrefix("ID ") } }
        }

        /// The ids in the table, from top to bottom.
        private func ids(_ lines: [String]) -> [String] {
            lines.drop { !$0.hasPrefix("ID ") }.dropFirst()
                .compactMap { $0.split(separator: " ").first.map(String.init) }.filter { $0.count == 12 }
        }

        /// Checks that the program has ended, and that the terminal is as before.
        private func expectClean(_ before: [String], _ said: String = "", status: Int) throws {
            try terminal.see("the shell") { lines in lines.last { !$0.isEmpty }?.hasPrefix("ready>") == true }
            #expect(try terminal.modes() == before)
            let lines = try terminal.lines()
            #expect(lines[0].hasPrefix("ready> \(program)".prefix(80)), "\(lines)")
            #expect(!lines.contains { $0.hasPrefix("ID ") || $0.contains("q quit") }, "\(lines)")
            try terminal.type("echo status=$?")
            try terminal.see("the status \(status)") { $0.contains("status=\(status)") }
        }

        @Test("shows the current jobs, sorts them, follows the terminal's size, and leaves nothing behind")
        func showsAndSortsLiveJobs() throws {
            let jobs = try jobs()
            let before = try terminal.modes()
            try start("-d 0.2")
            try terminal.see("three jobs and a rate") { lines in
                // nginx sends in bursts: between two bursts the rate is 0.
                ids(lines).count == 3 && ids(lines).first == jobs.streaming.id
                    && lines.contains { $0.hasPrefix(jobs.streaming.id) && !$0.contains(" 0 B/s") }
            }
            var lines = try terminal.lines()
            #expect(lines[0].contains("1 streaming") && lines[0].contains("2 stalled"), "\(lines)")
            for id in jobs.stalled {
                let row = lines.first { $0.hasPrefix(id) } ?? ""
                #expect(row.contains("stalled ") && row.contains("/1.0 MB"), "\(row)")
            }
            #expect(try terminal.value("cursor_flag") == "0")
            #expect(try terminal.value("alternate_on") == "1")

            try terminal.press("s")
            try terminal.see("the stalled ones first") { lines in
                Set(ids(lines).prefix(2)) == Set(jobs.stalled)
                    && lines.contains { $0.hasPrefix("by state") }
            }
            try terminal.press("o")
            try terminal.see("the order turned round") { lines in
                ids(lines).first == jobs.streaming.id && lines.contains { $0.hasPrefix("by state, reversed") }
            }
            try terminal.press("Space")
            try terminal.see("a pause") { lines in lines.contains { $0.hasPrefix("PAUSED") } }
            try terminal.press("h")
            try terminal.see("help") { $0[0].hasPrefix("Keys") }
            try terminal.press("x")
            try terminal.press("p")

            try terminal.resize(columns: 40, lines: 8)
            try terminal.see("40 columns") { lines in
                lines.contains { $0.hasPrefix("ID") && $0.hasSuffix("%") } && lines.count <= 9
                    && ids(lines).count == 3
            }
            try terminal.resize(columns: 200, lines: 30)
            try terminal.see("200 columns") { lines in
                lines.contains { $0.hasPrefix("ID") && $0.hasSuffix("URL") }
                    && lines.contains { $0.contains("[█") } && ids(lines).count == 3
            }
            lines = try terminal.lines()
            #expect(lines.contains { $0.contains(nginx.httpURL("/slow/")) }, "\(lines)")
            try terminal.resize(columns: 80, lines: 24)
            try terminal.see("80 columns again") { lines in
                lines.contains { $0.hasPrefix("ID") && $0.hasSuffix("STALLED") }
            }
            try terminal.press("q")
            try expectClean(before, status: 0)
        }

        @Test(
            "leaves the terminal clean when a signal ends it",
            arguments: [("INT", 130), ("TERM", 143), ("HUP", 129)])
        func leavesTerminalCleanAfterSignal(name: String, status: Int) throws {
            let before = try terminal.modes()
            try start()
            try terminal.see("no jobs") { lines in lines.contains { $0.hasPrefix("no jobs") } }
            if name == "INT" {
                try terminal.press("C-c")
            } else {
                let shell = try #require(Int32(try terminal.value("pane_pid")))
                let top = try #require(try Processes.children(of: shell).first)
                kill(top, name == "TERM" ? SIGTERM : SIGHUP)
            }
            try expectClean(before, status: status)
        }

        @Test("restores the terminal for the shell at Ctrl-Z, and takes it over again when it continues")
        func suspendsAndResumesCleanly() throws {
            let before = try terminal.modes()
            try start()
            try terminal.press("C-z")
            try terminal.see("the shell") { lines in
                lines.contains { $0.contains("Stopped") } && !lines.contains { $0.hasPrefix("ID ") }
            }
            #expect(try terminal.modes().dropFirst() == before.dropFirst())
            try terminal.type("fg")
            try terminal.see("the table") { lines in lines.contains { $0.hasPrefix("ID ") } }
            #expect(try terminal.value("cursor_flag") == "0")
            try terminal.press("q")
            try terminal.see("the shell") { lines in !lines.contains { $0.hasPrefix("ID ") } }
            try eventually("the modes are back") { try terminal.modes() == before }
        }

        @Test(
            "reports that the service hangs or is gone, and the keys keep working")
        func reportsLostOrHangingService() throws {
            let before = try terminal.modes()
            try start("-d 0.2")
            try terminal.see("no jobs") { lines in lines.contains { $0.hasPrefix("no jobs") } }
            try silence()
            service.stop()
            try terminal.see("its loss") { lines in
                lines.contains { $0.contains("looking for it (") } && lines.contains { $0.hasPrefix("ID ") }
            }
            try terminal.press("q")
            try expectClean(before, status: 0)
        }

        @Test("reports a service that hangs even before its first answer")
        func reportsServiceThatHangsAtStart() throws {
            kill(service.processID, SIGSTOP)
            try start("-d 0.2")
            try silence()
            try terminal.see("no jobs") { lines in lines.contains { $0.hasPrefix("no jobs") } }
            try terminal.press("q")
            try terminal.see("the shell") { lines in !lines.contains { $0.hasPrefix("ID ") } }
        }

        /// Stops the service until the view reports its silence, and lets it continue.
        private func silence() throws {
            kill(service.processID, SIGSTOP)
            defer { kill(service.processID, SIGCONT) }
            try terminal.see("its silence") { lines in
                lines.contains { $0.hasPrefix("the service has not answered for") }
            }
            kill(service.processID, SIGCONT)
            try terminal.see("its answer") { lines in !lines.contains { $0.contains("not answered") } }
        }

        @Test("a service that comes back is shown again")
        func reconnectsToReturnedService() throws {
            let directory = try TemporaryDirectory("top")
            let socket = directory.file("socket")
            func serve() throws -> Program {
                let program = try Program(
                    try Products.path("sluiced"), ["--socket", socket], environment: TestService.environment()
                )
                try eventually("it listens") { access(socket, F_OK) == 0 }
                return program
            }
            let first = try serve()
            try terminal.type("\(program) --socket \(socket) top -d 0.2")
            try terminal.see("the table") { lines in lines.contains { $0.hasPrefix("no jobs") } }
            first.kill()
            unlink(socket)
            try terminal.see("its loss") { lines in lines.contains { $0.contains("looking for it (") } }
            let second = try serve()
            try terminal.see("its return") { lines in
                lines.contains { $0.hasPrefix("no jobs") }
                    && !lines.contains { $0.contains("looking for it") }
            }
            try terminal.press("q")
            try terminal.see("the shell") { lines in !lines.contains { $0.hasPrefix("ID ") } }
            second.kill()
        }

        @Test("prints one table after another, without escape sequences, when the output is not a terminal")
        func printsPlainTablesWithoutTerminal() throws {
            let jobs = try jobs()
            let result = try Program.run(
                program, ["top", "-n", "2", "-d", "0.2", "--sort", "state", "--socket", service.socket]
            ).successful()
            let tables = result.output.components(of: "\n\n")
            #expect(tables.count == 2, "\(result)")
            for table in tables {
                #expect(
                    ids(table.split(separator: "\n").map(String.init)).last == jobs.streaming.id, "\(table)")
                #expect(table.contains("B/s"))
            }
            #expect(!result.output.contains("\u{1B}") && !result.output.contains("…"))
            // `-b` gives the same on a terminal.
            try terminal.type("\(program) --socket \(service.socket) top -b -n 1 | head -n 1")
            try terminal.see("a line") { lines in lines.contains { $0.hasPrefix("sluiced ") } }
            #expect(try terminal.value("alternate_on") == "0")
            let none = try Program.run(program, ["top", "-n", "1", "--socket", "\(service.socket)-none"])
            #expect(none.exit == .exited(3))
        }
    }
}

extension String {
    /// The parts between separators.
    fileprivate func components(of separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
