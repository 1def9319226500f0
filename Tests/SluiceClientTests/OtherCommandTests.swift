import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

/// The other subcommands, against a fake service.
@Suite("sluicectl") struct OtherCommandTests {
    private func run(_ arguments: [String], _ environment: [String: String] = [:]) throws -> ProgramResult {
        try Program.run(try Products.path("sluicectl"), arguments, environment: environment)
    }

    @Test("lists, shows, watches, waits for and cancels jobs, with text and JSON output")
    func printsJobsAsTextAndJSON() throws {
        let service = try FakeService(.init(body: Array("part".utf8), ending: .outcome(.truncated)))
        defer { service.stop() }
        let socket = ["--socket", service.path]
        #expect(try run(["list"] + socket).successful().output == "no jobs\n")
        #expect(try run(["list", "--json"] + socket).successful().output == "[]\n")
        _ = try run(["fetch", "http://h/x"] + socket)

        #expect(try run(["list"] + socket).successful().output.contains("failed (truncated)"))
        #expect(
            try run(["list", "--json"] + socket).successful().output.hasPrefix(
                #"[{"attemptLog":[],"attempts":0,"#))
        #expect(try run(["show", "job1"] + socket).successful().output.contains("URL: http://h/x"))
        #expect(
            try run(["show", "--json", "job1"] + socket).successful().output.hasPrefix(
                #"{"attemptLog":[],"attempts":0,"#))
        #expect(try run(["status"] + socket).successful().output.contains("sluiced 0"))
        #expect(try run(["status", "--json"] + socket).successful().output.contains(#""version":"0""#))
        #expect(
            try run(["watch", "job1"] + socket).successful().output.hasPrefix("job1  failed (truncated)"))
        #expect(try run(["watch", "job1", "--json"] + socket).successful().output.hasPrefix("{"))

        let wait = try run(["wait", "job1"] + socket)
        #expect(wait.exit == .exited(12))
        #expect(wait.output.hasPrefix("job1  failed (truncated)"))
        #expect(wait.errors.hasPrefix("sluicectl: it ended as truncated; "))

        let cancel = try run(["cancel", "none", "job1"] + socket)
        #expect(cancel.exit == .exited(5))
        #expect(cancel.output.hasPrefix("job1  failed"))
        #expect(cancel.errors.hasPrefix("sluicectl: no job of yours has the id none; "))
        #expect(try run(["show", "none"] + socket).exit == .exited(5))
    }

    @Test("reports plainly that no service runs", arguments: ["list", "status", "watch", "top", "metrics"])
    func reportsMissingService(command: String) throws {
        let directory = try TemporaryDirectory()
        let result = try run([command, "--socket", directory.file("none")])
        #expect(result.exit == .exited(3))
        #expect(result.errors.hasPrefix("sluicectl: no service at \(directory.path)"))
    }

    @Test("starts no private service for a request that the service would refuse")
    func startsNoServiceForInvalidRequest() throws {
        let directory = try TemporaryDirectory()
        let executable = try directory.write("#!/bin/sh\ntouch \"$0.started\"\n", to: "sluiced")
        #expect(chmod(executable, 0o755) == 0)
        let environment = ["XDG_RUNTIME_DIR": directory.path, "SLUICED": executable, "PATH": "/usr/bin:/bin"]
        for (arguments, parameter) in [
            (["ftp://h/x"], "url"), (["http://h/x", "--header", "Host: other"], "headers"),
            (["http://h/x", "--low-watermark", "8M", "--high-watermark", "1M"], "lowWatermark"),
        ] {
            let result = try run(["fetch"] + arguments, environment)
            #expect(result.exit == .exited(2))
            #expect(result.errors.hasPrefix("sluicectl: \(parameter): "), "\(result.errors)")
        }
        #expect(access("\(executable).started", F_OK) != 0)
    }

    @Test("prints its version, and help for its subcommands")
    func printsVersionAndHelp() throws {
        #expect(try run(["--version"]).successful().output == "sluicectl \(SluiceVersion.current)\n")
        let commands = [
            "fetch", "list", "show", "watch", "wait", "cancel", "logs", "top", "status", "metrics",
        ]
        for command in [[]] + commands.map({ [$0] }) {
            let help = try run(command + ["--help"]).successful().output
            #expect(help.contains("OVERVIEW:") && help.contains("USAGE:"))
        }
    }
}
