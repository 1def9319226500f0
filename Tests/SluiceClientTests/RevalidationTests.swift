import Glibc
import SluiceInterface
import TestKit
import Testing
import Unix

/// Versions and digests, as `sluicectl fetch` asks for them, against a fake service.
@Suite("sluicectl fetch, of a version") struct RevalidationTests {
    private let directory: TemporaryDirectory
    private let etagFile: String
    private let file: String

    init() throws {
        directory = try TemporaryDirectory()
        etagFile = directory.file("e")
        file = directory.file("f")
    }

    private func run(_ service: FakeService, _ arguments: [String]) throws -> ProgramResult {
        try Program.run(
            try Products.path("sluicectl"), ["fetch", "http://h/x"] + arguments,
            environment: ["SLUICE_SOCKET": service.path, "PATH": "/usr/bin:/bin"])
    }

    private func fake(_ script: FakeService.Script) throws -> FakeService { try FakeService(script) }

    private func isThere(_ path: String) -> Bool { access(path, F_OK) == 0 }

    // MARK: Unchanged

    @Test("exits with status 17 if the body is unchanged, and prints nothing with -q")
    func exitsWithStatusForUnchanged() throws {
        let service = try fake(.init(ending: .outcome(.unchanged)))
        defer { service.stop() }
        let result = try run(service, ["--if-none-match", "\"a\""])
        #expect(result.exit == .exited(17))
        #expect(result.output == "")
        #expect(result.errors == "sluicectl: it ended as unchanged\n")
        let quiet = try run(service, ["--if-none-match", "\"a\"", "-q"])
        #expect(quiet.exit == .exited(17) && quiet.errors == "")
        let json = try run(service, ["--if-none-match", "\"a\"", "--json"])
        #expect(json.exit == .exited(17) && json.errors.contains(#""code":"unchanged""#))
    }

    @Test("leaves both files as they are if the body is unchanged")
    func leavesFilesWhenUnchanged() throws {
        let service = try fake(.init(ending: .outcome(.unchanged), etag: "\"other\""))
        defer { service.stop() }
        try directory.write("old", to: "f")
        try directory.write("\"a\"\n", to: "e")
        let result = try run(service, ["-o", file, "--etag-file", etagFile])
        #expect(result.exit == .exited(17))
        #expect(try readText(file) == "old")
        #expect(try readText(etagFile) == "\"a\"\n")
        #expect(service.requests.map(\.ifNoneMatch) == ["\"a\""])
        // Nothing else is left beside them.
        #expect(unlink(file) == 0 && unlink(etagFile) == 0 && rmdir(directory.path) == 0)
    }

    @Test("does not start a command if the body is unchanged or never begins, but does for an empty body")
    func startsCommandOnlyForBody() throws {
        let script = ["--", "sh", "-c", "cat; echo ran"]
        let cases: [(OutcomeCode, Int32)] = [(.unchanged, 17), (.httpStatus, 11), (.complete, 0)]
        for (code, status) in cases {
            let service = try fake(.init(ending: .outcome(code)))
            defer { service.stop() }
            let result = try run(service, ["--if-none-match", "\"a\""] + script)
            #expect(result.exit == .exited(status))
            #expect(result.output == (code == .complete ? "ran\n" : ""))
        }
        let service = try fake(.init(body: Array("body\n".utf8)))
        defer { service.stop() }
        #expect(try run(service, ["--if-none-match", "\"a\""] + script).output == "body\nran\n")
    }

    // MARK: The file of the version

    @Test("stores the version of a complete body, and sends it with the next request")
    func storesAndSendsVersion() throws {
        let service = try fake(.init(body: Array("body".utf8), etag: "W/\"1-a!\""))
        defer { service.stop() }
        let mask = umask(0o027)
        umask(mask)
        _ = try run(service, ["-o", file, "--etag-file", etagFile]).successful()
        #expect(try readText(etagFile) == "W/\"1-a!\"\n")
        var status = stat()
        #expect(stat(etagFile, &status) == 0 && status.st_mode & 0o777 == 0o666 & ~mask)
        _ = try run(service, ["-o", file, "--etag-file", etagFile]).successful()
        #expect(service.requests.map(\.ifNoneMatch) == [nil, "W/\"1-a!\""])
        #expect(unlink(file) == 0 && unlink(etagFile) == 0 && rmdir(directory.path) == 0)
    }

    @Test("does not send the version if the file that it belongs to is missing")
    func omitsVersionOfMissingFile() throws {
        let service = try fake(.init(body: Array("body".utf8), etag: "\"b\""))
        defer { service.stop() }
        try directory.write("\"a\"", to: "e")
        _ = try run(service, ["-o", file, "--etag-file", etagFile]).successful()
        #expect(service.requests.map(\.ifNoneMatch) == [nil])
        #expect(try readText(etagFile) == "\"b\"\n")
        // Standard output and a command have no file that could be missing.
        for arguments in [[], ["--", "cat"]] {
            _ = try run(service, ["--etag-file", etagFile] + arguments).successful()
            #expect(service.requests.last?.ifNoneMatch == "\"b\"")
        }
        // A tag that the user names is sent in any case.
        _ = try run(service, ["-o", directory.file("g"), "--if-none-match", "\"c\""]).successful()
        #expect(service.requests.last?.ifNoneMatch == "\"c\"")
    }

    @Test(
        "deletes the stored version if the new body has none that could be sent back",
        arguments: [nil, "a", "\"ä\""])
    func deletesVersionWithoutReplacement(etag: String?) throws {
        let service = try fake(.init(body: Array("body".utf8), etag: etag))
        defer { service.stop() }
        try directory.write("\"a\"", to: "e")
        _ = try run(service, ["-o", file, "--etag-file", etagFile]).successful()
        #expect(!isThere(etagFile))
        _ = try run(service, ["-o", file, "--etag-file", etagFile]).successful()
        #expect(unlink(file) == 0 && rmdir(directory.path) == 0)
    }

    @Test("keeps the stored version if the body is not complete or its command fails")
    func keepsVersionAfterFailure() throws {
        try directory.write("\"a\"", to: "e")
        try directory.write("old", to: "f")
        for code in OutcomeCode.allCases where code != .complete {
            let service = try fake(.init(body: Array("body".utf8), ending: .outcome(code), etag: "\"b\""))
            defer { service.stop() }
            #expect(try run(service, ["-o", file, "--etag-file", etagFile]).exit != .exited(0))
            #expect(try readText(etagFile) == "\"a\"")
            #expect(try readText(file) == "old")
        }
        let service = try fake(.init(body: Array("body".utf8), etag: "\"b\""))
        defer { service.stop() }
        let arguments = ["--etag-file", etagFile, "--", "sh", "-c"]
        #expect(try run(service, arguments + ["cat; exit 3"]).exit == .exited(3))
        #expect(try readText(etagFile) == "\"a\"")
        _ = try run(service, arguments + ["cat"]).successful()
        #expect(try readText(etagFile) == "\"b\"\n")
    }

    @Test("stores no version of a body that may have been cut short")
    func storesNoVersionOfUnverifiedBody() throws {
        let service = try fake(
            .init(body: Array("body".utf8), ending: .outcome(.completeUnverified), etag: "\"b\""))
        defer { service.stop() }
        try directory.write("\"a\"", to: "e")
        _ = try run(service, ["-o", file, "--etag-file", etagFile, "--accept-unverified"]).successful()
        #expect(!isThere(etagFile))
        #expect(try readText(file) == "body")
    }

    @Test("reads an empty version file as no version, and accepts a missing newline or CR LF")
    func readsVersionFileLeniently() throws {
        let service = try fake(.init())
        defer { service.stop() }
        for (text, sent) in [("", nil), ("\n", nil), ("\"\"", "\"\""), ("W/\"x\"\r\n", "W/\"x\"")] {
            try directory.write(text, to: "e")
            _ = try run(service, ["--etag-file", etagFile]).successful()
            #expect(service.requests.last?.ifNoneMatch == sent)
        }
    }

    @Test("reports an invalid version file before it sends any request")
    func reportsInvalidVersionFile() throws {
        let service = try fake(.init())
        defer { service.stop() }
        for text in [
            "a", "\"a", "\"a\" \"b\"", "\"a\"\n\"b\"\n", "<html>", String(repeating: "x", count: 9000),
        ] {
            try directory.write(text, to: "e")
            let result = try run(service, ["-o", file, "--etag-file", etagFile])
            #expect(result.exit == .exited(1))
            #expect(
                result.errors.contains("\(etagFile) holds no entity-tag, which is text in double quotes; "))
        }
        for path in [directory.path, "/dev/null"] {
            let result = try run(service, ["--etag-file", path])
            #expect(result.exit == .exited(1))
            #expect(result.errors.contains("\(path) cannot be read: it is no regular file"))
        }
        let nowhere = try run(service, ["--etag-file", "\(directory.path)/none/e"])
        #expect(nowhere.exit == .exited(1))
        #expect(nowhere.errors.contains("cannot make \(directory.path)/none/e"))
        #expect(service.requests.isEmpty)
        #expect(isThere("/dev/null"))
        #expect(unlink(etagFile) == 0 && rmdir(directory.path) == 0)
    }

    // MARK: Digests

    private static let digits = String(repeating: "0123456789abcdef", count: 4)

    @Test("passes a digest on, and prints nothing if the body matches it")
    func printsNothingForMatchingDigest() throws {
        let service = try fake(.init(body: Array("body".utf8), digest: "sha256:\(Self.digits)"))
        defer { service.stop() }
        let result = try run(service, ["--digest", "SHA256:\(Self.digits.uppercased())"]).successful()
        #expect(result.output == "body" && result.errors == "")
        #expect(service.requests.map(\.digest) == ["sha256:\(Self.digits)"])
    }

    @Test("prints a requested digest alone on its line, also with -q")
    func printsRequestedDigest() throws {
        let digest = "sha512:\(Self.digits)\(Self.digits)"
        let service = try fake(.init(body: Array("body".utf8), digest: digest))
        defer { service.stop() }
        for arguments in [[], ["-q"], ["-o", file], ["--", "true"]] {
            let result = try run(service, ["--digest", "sha512"] + arguments)
            #expect(result.errors == "\(digest)\n" || arguments.last == "true")
        }
        #expect(service.requests.last?.digest == "sha512")
        let json = try run(service, ["--digest", "sha512", "--json"]).successful()
        #expect(json.errors.contains(#""digest":"\#(digest)""#) && json.errors.hasPrefix("{"))
    }

    @Test("creates no file with another digest, whether the service or the client detects the mismatch")
    func createsNoFileOnDigestMismatch() throws {
        let arguments = ["-o", file, "--digest", "sha256:\(Self.digits)"]
        let service = try fake(.init(body: Array("body".utf8), ending: .outcome(.digestMismatch)))
        defer { service.stop() }
        let result = try run(service, arguments)
        #expect(result.exit == .exited(18))
        #expect(
            result.errors.hasPrefix("sluicectl: it ended as digestMismatch; do not use what was delivered"))
        // The client must not believe a service that does not know the parameter.
        for digest in [nil, "sha256:\(Self.digits.reversed())", "sha512:\(Self.digits)"] {
            let other = try fake(.init(body: Array("body".utf8), digest: digest))
            defer { other.stop() }
            let result = try run(other, arguments)
            #expect(result.exit == .exited(20))
            #expect(result.errors.contains("does not tell the digest that was asked for"))
        }
        #expect(rmdir(directory.path) == 0)
    }
}
