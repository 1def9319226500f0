import Glibc
import TestKit
import Testing
import Unix

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

    @Test("gets its name only at the commit, and has the permissions of a new file")
    func getsNameAtCommit() throws {
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
        // Reduced by the umask, which other tests change for a moment when they open sockets.
        #expect(status.st_mode & 0o777 & ~0o666 == 0)
        #expect(status.st_mode & 0o600 == 0o600)
    }

    @Test("that is discarded leaves nothing and changes nothing")
    func discardLeavesNothing() throws {
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

    @Test("follows a symbolic link, and is written in place where it cannot be replaced")
    func followsLinksAndWritesDevices() throws {
        let directory = try TemporaryDirectory()
        try directory.write("old", to: "target")
        #expect(symlink("target", directory.file("link")) == 0)
        let file = try OutputFile(path: directory.file("link"))
        put("new", into: file)
        try file.commit()
        #expect(try readText(directory.file("target")) == "new")
        #expect(try names(in: directory) == ["link", "target"])

        // The target of a link need not exist yet. Where it cannot exist, no file is made elsewhere.
        #expect(symlink("coming", directory.file("early")) == 0)
        let early = try OutputFile(path: directory.file("early"))
        put("new", into: early)
        try early.commit()
        #expect(try readText(directory.file("coming")) == "new")
        #expect(symlink("none/coming", directory.file("lost")) == 0)
        #expect(throws: SluiceError.self) { try OutputFile(path: directory.file("lost")) }
        #expect(symlink("round", directory.file("round")) == 0)
        #expect(throws: SluiceError.self) { try OutputFile(path: directory.file("round")) }
        #expect(try names(in: directory) == ["coming", "early", "link", "lost", "round", "target"])

        let device = try OutputFile(path: "/dev/null")
        #expect(device.temporaryPath == nil)
        try device.commit()
        device.discard()
        #expect(access("/dev/null", F_OK) == 0)
    }

    @Test(
        "gets the owner and the permissions of the file that it replaces", arguments: [0o600, 0o640, 0o4755])
    func takesOwnerAndPermissions(_ mode: mode_t) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("old", to: "f")
        // Only root can give files to other users.
        let (user, group): (uid_t, gid_t) = geteuid() == 0 ? (65534, 65534) : (geteuid(), getegid())
        #expect(chown(path, user, group) == 0 && chmod(path, mode) == 0)
        let file = try OutputFile(path: path)
        var status = stat()
        #expect(fstat(file.descriptor.rawValue, &status) == 0)
        // A user who may not read the file afterwards must not read it meanwhile. The set-user-ID bit is not for the
        // new content.
        #expect(status.st_mode & 0o7777 == mode & 0o777)
        try file.commit()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o7777 == mode & 0o777)
        #expect(status.st_uid == user && status.st_gid == group)
    }

    @Test(
        "is an open descriptor where its path names one",
        arguments: ["/dev/fd/", "/proc/self/fd/"])
    func canBeOpenDescriptor(_ prefix: String) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write("before ", to: "f")
        let opened = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        defer { close(opened) }
        let file = try OutputFile(path: "\(prefix)\(opened)")
        #expect(file.temporaryPath == nil)
        put("after", into: file)
        try file.commit()
        #expect(try readText(path) == "before after")
        #expect(throws: SluiceError.self) { try OutputFile(path: "\(prefix)1000000") }
    }

    @Test("cannot be a directory, or in a directory that does not exist")
    func refusesDirectoryAndMissingParent() throws {
        let directory = try TemporaryDirectory()
        for path in [directory.path, directory.file("none/f")] {
            let error = #expect(throws: SluiceError.self) { try OutputFile(path: path) }
            #expect(error?.kind == .local)
        }
        #expect(try names(in: directory) == [])
    }

    @Test("has a temporary name in the same directory, no longer than file systems accept")
    func temporaryNameFitsFileSystem() {
        #expect(OutputFile.temporaryName(for: "/a/b", 35) == "/a/.b.sluice-z")
        #expect(OutputFile.temporaryName(for: "b", 35) == ".b.sluice-z")
        let long = OutputFile.temporaryName(for: "/a/" + String(repeating: "ü", count: 127), .max)
        #expect(long.utf8.count - 3 <= 255)
    }
}
