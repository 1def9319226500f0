import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// How children start and end.
@Suite("Spawned processes")
struct SpawnedProcessTests {
    /// Runs a shell script to its end and returns what it wrote.
    private func shell(_ script: String) throws -> String {
        try Program.run("/bin/sh", ["-c", script]).successful().output
    }

    @Test("a child inherits descriptors 0 to 3 and no other, whatever is open in the parent")
    func inheritsOnlyStandardAndControl() throws {
        let pipe = try Pipe()
        // Descriptors that a child would inherit if no code closed them.
        let leaked = fcntl(pipe.readEnd.rawValue, F_DUPFD, 100)
        defer { close(leaked) }
        let with = try Program("/bin/ls", ["/proc/self/fd"], control: pipe.writeEnd.rawValue)
        // ls itself opens the directory, as the lowest free number.
        #expect(try with.wait().successful().output == "0\n1\n2\n3\n4\n")
        #expect(try Program.run("/bin/ls", ["/proc/self/fd"]).successful().output == "0\n1\n2\n3\n")
    }

    @Test("the standard descriptors can be permuted")
    func permutesStandardDescriptors() throws {
        // Numbers 0 to 3 of the child, in an order that a naive dup2 would break.
        let one = try Pipe()
        let two = try Pipe()
        let process = try SpawnedProcess(
            path: "/bin/sh", arguments: ["-c", "echo out; echo err >&2"], environment: [],
            standardOutput: two.writeEnd.rawValue, standardError: one.writeEnd.rawValue)
        #expect(try process.wait(milliseconds: Int32(Deadline.ofCall)) == .exited(0))
        var bytes = [UInt8](repeating: 0, count: 10)
        #expect(read(two.readEnd.rawValue, &bytes, 10) == 4)
        #expect(String(decoding: bytes[..<4], as: UTF8.self) == "out\n")
        #expect(read(one.readEnd.rawValue, &bytes, 10) == 4)
        #expect(String(decoding: bytes[..<4], as: UTF8.self) == "err\n")
    }

    @Test("a program that cannot be executed is reported with its errno, and no child is left")
    func reportsExecFailure() throws {
        let directory = try TemporaryDirectory()
        try directory.write("not a program", to: "file", mode: 0o644)
        #expect(throws: Errno.noSuchFileOrDirectory) {
            _ = try SpawnedProcess(path: directory.file("missing"), environment: [])
        }
        #expect(throws: Errno.permissionDenied) {
            _ = try SpawnedProcess(path: directory.file("file"), environment: [])
        }
        try directory.write("not a program", to: "other", mode: 0o755)
        #expect(throws: Errno.execFormatError) {
            _ = try SpawnedProcess(path: directory.file("other"), environment: [])
        }
    }

    @Test("the child's signals are at their defaults and unblocked")
    func resetsSignals() throws {
        let status = try shell("cat /proc/self/status")
        // Signals 32 and 33 belong to glibc: sigaction(2) refuses them, so their actions stay unchanged.
        let internalSignals: UInt64 = 0b11 << 31
        for field in ["SigBlk", "SigIgn"] {
            let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
            let mask = try #require(line.flatMap { UInt64($0.dropFirst(field.count + 2), radix: 16) })
            #expect(mask & ~internalSignals == 0, "\(field) \(String(mask, radix: 16))")
        }
    }

    @Test("a child starts in a new session on request, and otherwise stays in the parent's session")
    func startsNewSessionOnRequest() throws {
        let new = try SpawnedProcess(
            path: "/bin/sleep", arguments: ["1000"], environment: [], newSession: true)
        #expect(getsid(new.processID) == new.processID)
        new.signal(SIGKILL)
        #expect(try new.wait(milliseconds: Int32(Deadline.ofCall)) == .signalled(SIGKILL))
        let same = try SpawnedProcess(path: "/bin/sleep", arguments: ["1000"], environment: [])
        #expect(getsid(same.processID) == getsid(0))
        same.signal(SIGTERM)
        #expect(try same.wait(milliseconds: Int32(Deadline.ofCall)) == .signalled(SIGTERM))
    }

    @Test("a child's end shows on the pidfd and is collected once, and later signals reach no process")
    func endIsCollectedOnce() throws {
        let process = try SpawnedProcess(path: "/bin/sh", arguments: ["-c", "exit 7"], environment: [])
        #expect(waitFor(POLLIN, on: process.pidfd.rawValue, until: Deadline()))
        #expect(try process.reap() == .exited(7))
        #expect(throws: Errno.noChildProcess) { try process.reap() }
        process.signal(SIGKILL)
    }

    @Test("a wait that is too short reports that the process still runs")
    func shortWaitReportsRunningProcess() throws {
        let process = try SpawnedProcess(path: "/bin/sleep", arguments: ["1000"], environment: [])
        #expect(try process.reap() == nil)
        #expect(try process.wait(milliseconds: 1) == nil)
        process.signal(SIGKILL)
        #expect(try process.wait() == .signalled(SIGKILL))
    }

    @Test("the child's environment is exactly the given one")
    func passesExactlyTheGivenEnvironment() throws {
        let program = try Program("/usr/bin/env", environment: ["A": "1"])
        #expect(try program.wait().successful().output == "A=1\n")
    }
}
