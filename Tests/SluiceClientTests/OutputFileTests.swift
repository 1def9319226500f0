import Glibc
import TestKit
import Testing
import UnixSockets

@testable import SluiceClient

@Suite("An output file") struct OutputFileTests {
    private func names(in directory: TemporaryDirectory) throws -> [String] {
        guard let stream = opendir(directory.path) else { throw TestFailure("no \(directory.path)") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    private func put(_ text: String, into file: OutputFile) {
        let bytes = Array(text.utf8)
        #expect(write(file.descriptor.rawValue, bytes, bytes.count) == bytes.count)
    }

    @Test("has its name only after the commit, and a new file's permissions")
    func commit() throws {
        let directory = try TemporaryDirectory()
        try directory.write("old", to: "f")
        let file = try OutputFile(path: directory.file("f"))
        put("new", into: file)
        #expect(try readText(directory.file("f")) == "old")
        #expect(try names(in: directory).count == 2)
        try file.commit()
        file.discard()
        #expect(try readText(directory.file("f")) == "new")
        #expect(try names(in: directory) == ["f"])
        var status = stat()
        stat(directory.file("f"), &status)
        // Less the umask, which other tests change for a moment when they open sockets.
        #expect(status.st_mode & 0o777 & ~0o666 == 0)
        #expect(status.st_mode & 0o600 == 0o600)
    }

    @Test("that is discarded leaves nothing and changes nothing")
    func discard() throws {
        let directory = try TemporaryDirectory()
        try directory.write("old", to: "f")
        let file = try OutputFile(path: directory.file("f"))
        put("new", into: file)
        file.discard()
        file.discard()
        #expect(try readText(directory.file("f")) == "old")
        #expect(try names(in: directory) == ["f"])
        #expect(throws: SluiceError.self) { try file.commit() }
    }

    @Test("follows a symbolic link, and writes to what cannot be replaced")
    func special() throws {
        let directory = try TemporaryDirectory()
        try directory.write("old", to: "target")
        #expect(symlink("target", directory.file("link")) == 0)
        let file = try OutputFile(path: directory.file("link"))
        put("new", into: file)
        try file.commit()
        #expect(try readText(directory.file("target")) == "new")
        #expect(try names(in: directory) == ["link", "target"])

        let device = try OutputFile(path: "/dev/null")
        #expect(device.temporaryPath == nil)
        try device.commit()
        device.discard()
        #expect(access("/dev/null", F_OK) == 0)
    }

    @Test("cannot be a directory, nor in one that is not there")
    func refused() throws {
        let directory = try TemporaryDirectory()
        for path in [directory.path, directory.file("none/f")] {
            let error = #expect(throws: SluiceError.self) { try OutputFile(path: path) }
            #expect(error?.kind == .local)
        }
        #expect(try names(in: directory) == [])
    }

    @Test("has a temporary name beside it that a file system takes")
    func temporaryName() {
        #expect(OutputFile.temporaryName(for: "/a/b", 35) == "/a/.b.sluice-z")
        #expect(OutputFile.temporaryName(for: "b", 35) == ".b.sluice-z")
        let long = OutputFile.temporaryName(for: "/a/" + String(repeating: "ü", count: 127), .max)
        #expect(long.utf8.count - 3 <= 255)
    }
}
