import Glibc
import SystemPackage
import TestKit
import Testing
import Unix

/// A separate disk: a small tmpfs that only the probe sees. The test reaches it through the probe's root.
@Suite("The outcomes on a disk that is full or read-only")
struct OutcomeFileDiskTests {
    private struct Disk {
        let directory: TemporaryDirectory
        let probe: Program
        private let input: FileDescriptor

        /// - Parameter options: mount options.
        init(_ options: String, limit: Int) throws {
            directory = try TemporaryDirectory()
            let pipe = try Pipe()
            let mount = "mount -t tmpfs -o mode=700,\(options) test \"$1\" && exec \"$2\" \"$1\" \"$3\""
            // A process that may not mount gets a name space in which it may.
            let names = geteuid() == 0 ? ["--mount"] : ["--map-root-user", "--mount"]
            probe = try Program(
                "/usr/bin/unshare",
                names + ["sh", "-c", mount, "sh", directory.path, Products.path("store-probe"), "\(limit)"],
                standardInput: pipe.readEnd.rawValue)
            input = FileDescriptor(rawValue: try pipe.writeEnd.duplicate().release())
        }

        func close() { try? input.close() }

        func ask(_ command: String) throws -> String {
            _ = try input.writeAll((command + "\n").utf8)
            return try probe.line() ?? "gone: \(probe.errors)"
        }

        /// The path of a file there, as seen from the test.
        func path(_ name: String) -> String { "/proc/\(probe.processID)/root\(directory.path)/\(name)" }

        func mount(_ options: String) throws {
            let names = geteuid() == 0 ? [] : ["--user", "--preserve-credentials"]
            _ = try Program.run(
                "/usr/bin/nsenter",
                ["--target", "\(probe.processID)", "--mount"] + names
                    + ["mount", "-o", "remount,\(options)", directory.path]
            ).successful()
        }
    }

    @Test(
        "a full disk is reported once, leaves no half-written line, and loses nothing once there is room again"
    )
    func fullDiskLosesNothing() throws {
        let disk = try Disk("size=128k", limit: 10_000)
        defer { disk.close() }
        #expect(try disk.ask("load") == "[] skipped 0 wrong: nothing")
        let filler = try FileDescriptor.open(
            disk.path("filler"), .writeOnly, options: .create, permissions: .ownerReadWrite)
        #expect(try disk.ask("append 0 20") == "")
        // Fills all space, except the rest of the outcome file's last page.
        let chunk = [UInt8](repeating: 0, count: 4096)
        #expect(throws: Errno.noSpace) { while true { _ = try filler.writeAll(chunk) } }
        try filler.close()
        let name = disk.directory.path + "/outcomes.jsonl"
        let said = "failing(\(name): write: \(Errno.noSpace))"
        #expect(try disk.ask("append 20 120") == said)
        #expect(try readBytes(disk.path("outcomes.jsonl")).last == UInt8(ascii: "\n"))
        #expect(try disk.ask("append 120 150") == "")
        #expect(unlink(disk.path("filler")) == 0)
        #expect(try disk.ask("flush") == "recovered(lost: 0)")
        #expect(try disk.ask("append 150 151") == "")
        #expect(try disk.ask("load") == "\(Array(0..<151)) skipped 0 wrong: nothing")
    }

    @Test("a compaction without room leaves the old file as it is, and succeeds later")
    func compactionNeedsRoom() throws {
        let disk = try Disk("size=256k", limit: 100)
        defer { disk.close() }
        #expect(try disk.ask("load") == "[] skipped 0 wrong: nothing")
        #expect(try disk.ask("append 0 190") == "")
        let filler = try FileDescriptor.open(
            disk.path("filler"), .writeOnly, options: .create, permissions: .ownerReadWrite)
        let chunk = [UInt8](repeating: 0, count: 4096)
        #expect(throws: Errno.noSpace) { while true { _ = try filler.writeAll(chunk) } }
        // Makes room for some lines, but not for a copy of a hundred lines.
        try filler.resize(to: Int64(lseek(filler.rawValue, 0, SEEK_END)) - 8192)
        try filler.close()
        let name = disk.directory.path + "/outcomes.jsonl"
        #expect(try disk.ask("append 190 205") == "failing(\(name): write: \(Errno.noSpace))")
        #expect(access(disk.path("outcomes.jsonl.new"), F_OK) != 0)
        #expect(try disk.ask("load").hasPrefix("\(Array(105..<205)) skipped 0 wrong: /"))
        #expect(unlink(disk.path("filler")) == 0)
        // The next try comes only after as many new lines as the file must keep, since each try costs that much.
        #expect(try disk.ask("append 205 300") == "")
        #expect(try disk.ask("append 300 310") == "recovered(lost: 0)")
        #expect(try disk.ask("load") == "\(Array(210..<310)) skipped 0 wrong: nothing")
        #expect(try readText(disk.path("outcomes.jsonl")).split(separator: "\n").count < 200)
    }

    @Test("a read-only directory is reported once, and used when it is writable again")
    func usesDirectoryOnceWritable() throws {
        let disk = try Disk("ro,size=128k", limit: 100)
        defer { disk.close() }
        let name = disk.directory.path + "/outcomes.jsonl"
        #expect(try disk.ask("load") == "[] skipped 0 wrong: \(name): open: \(Errno.readOnlyFileSystem)")
        #expect(try disk.ask("append 0 50") == "")
        try disk.mount("rw")
        #expect(try disk.ask("append 50 51") == "recovered(lost: 0)")
        #expect(try disk.ask("load") == "\(Array(0..<51)) skipped 0 wrong: nothing")
    }
}
