import Glibc
import TestKit
import Testing
import Unix

/// The tools on which all other tests rely.
@Suite("The test kit")
struct TestKitTests {
    @Test("a pattern's ranges agree with the whole pattern, and a changed byte is found")
    func patternFindsChangedByte() {
        let pattern = Pattern(seed: 7)
        let whole = pattern.bytes(0..<1000)
        #expect(pattern.bytes(13..<977) == Array(whole[13..<977]))
        #expect(pattern.mismatch(Array(whole[5..<700]), at: 5) == nil)
        var wrong = whole
        wrong[613] ^= 1
        #expect(pattern.mismatch(wrong) == 613)
        #expect(Pattern(seed: 8).mismatch(whole) != nil)
    }

    @Test("sha256sum agrees with a known sum")
    func sha256sumMatchesKnownSum() throws {
        #expect(
            try SHA256Sum.of(Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(try Pattern().sha256(count: 100_000) == SHA256Sum.of(Pattern().bytes(0..<100_000)))
    }

    @Test(
        "a program's output, errors and exit are reported, and an overdue program is killed with its children"
    )
    func reportsAndKillsPrograms() throws {
        let shell = try Program("/bin/sh", ["-c", "echo one; echo two; echo oops >&2; exit 3"])
        #expect(try shell.line() == "one")
        let result = try shell.wait()
        #expect(result.exit == .exited(3))
        #expect(result.output == "two\n")
        #expect(result.errors == "oops\n")
        let sleeper = try Program("/bin/sh", ["-c", "sleep 1000 & echo $!; wait"])
        let child = try #require(try sleeper.line())
        #expect(throws: TestFailure.self) { try sleeper.wait(within: .milliseconds(50)) }
        try eventually("the grandchild is gone") {
            guard let status = try? readText("/proc/\(child)/stat") else { return true }
            return status.contains(") Z ")
        }
    }

    @Test(
        "an origin serves scripts, keeps connections, counts bytes, and is blocked by a client that does not read"
    )
    func originServesScripts() throws {
        let origin = try BadOrigin()
        origin.on("/ok") { try $0.respond(body: Array("hello".utf8)) }
        origin.on("/forever") {
            try $0.sendHead(headers: ["Connection: close"])
            $0.sendForever()
        }
        let output = try Program.run("/usr/bin/curl", ["-s", origin.url("/ok"), origin.url("/ok")])
            .successful().output
        #expect(output == "hellohello")
        #expect(origin.connections == 1)
        #expect(origin.requests.count == 2)
        let endless = try Program("/usr/bin/curl", ["-sN", origin.url("/forever")])
        #expect(try origin.waitUntilBlocked() > 65536)
        #expect(origin.openConnections == 1)
        endless.kill()
        try origin.waitUntilIdle()
        #expect(origin.failures == [])
    }

    @Test("nginx serves over HTTP, TLS and h2, and a program can be made to trust the test CA")
    func nginxServesEveryProtocol() throws {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        let nginx = try Nginx(options)
        let pattern = Pattern(seed: 3)
        let path = try nginx.serve("file", pattern, count: 300_000)
        for (url, version) in [
            (nginx.httpURL(path), "1.1"), (nginx.tlsURL(path), "1.1"), (nginx.http2URL(path), "2"),
        ] {
            let sum = try Program.run(
                "/bin/sh", ["-c", "curl -sS --cacert '\(authority.certificate)' \(url) | sha256sum"]
            ).successful().output
            #expect(try sum.hasPrefix(pattern.sha256(count: 300_000)))
            let seen = try Program.run(
                "/usr/bin/curl",
                ["-sS", "--cacert", authority.certificate, "-o", "/dev/null", "-w", "%{http_version}", url]
            ).successful().output
            #expect(seen == version)
        }
        #expect(try nginx.accessLog().count == 6)
        nginx.stop(gracefully: true)
        #expect(!Loopback.answers(port: nginx.httpPort))
    }

    @Test("a reader stops at its mark, continues when released, and checks each byte")
    func readerStopsAndContinues() throws {
        let pipe = try Pipe()
        try setNonblocking(pipe.writeEnd.rawValue, false)
        let pattern = Pattern(seed: 5)
        let reader = try ThreadedReader(
            try pipe.readEnd.duplicate(), expecting: pattern, pace: .stopAt(1000), hashing: true)
        try pattern.write(0..<50_000, to: pipe.writeEnd.rawValue)
        try reader.waitForCount(1000)
        #expect(reader.count == 1000)
        reader.release()
        try reader.waitForCount(50_000)
        _ = (consume pipe).writeEnd
        #expect(try reader.waitForDigest() == pattern.sha256(count: 50_000))
    }

    @Test("the written bytes of a process do not depend on other processes of the same program")
    func writtenBytesCountOneProcess() throws {
        let probe = try Probe()
        var alone = 0
        // The probe may still be stopping.
        try eventually("the probe writes no more", every: .milliseconds(100)) {
            let before = alone
            alone = try probe.writtenBytes()
            return alone == before
        }
        let other = try Probe()
        #expect(abs(try probe.writtenBytes() - alone) < 64 << 10)
        #expect(try other.writtenBytes() > 256 << 10)
    }

    @Test("the memory and the open descriptors of a process are measured")
    func measuresMemoryAndDescriptors() throws {
        let probe = try MemoryProbe(processID: getpid())
        #expect(probe.resident > 1 << 20)
        #expect(probe.privatePages > 1 << 20)
        #expect(try openDescriptorCount(processID: getpid()) > 3)
    }
}
