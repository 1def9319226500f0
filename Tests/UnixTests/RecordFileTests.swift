import CUnix
import Glibc
import SystemPackage
import TestKit
import Testing

@testable import Unix

@Suite("A record that survives its writer")
struct RecordFileTests {
    /// `make test-kills` asks for more.
    private static var kills: Int {
        getenv("SLUICE_TEST_KILLS").flatMap { Int(String(cString: $0)) } ?? 200
    }

    /// What another process would find: the file through a duplicate, without anything that this process remembers.
    private func found(_ file: borrowing RecordFile) throws -> [UInt8]? {
        let other = try RecordFile(adopting: file.descriptor.duplicate())
        return try other.read()
    }

    private func memory(_ file: borrowing RecordFile) throws -> Int {
        var status = stat()
        _ = try valueOrErrno(fstat(file.descriptor.rawValue, &status))
        return Int(status.st_blocks) * 512
    }

    private func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ seed) }
    }

    @Test("a new file has no record, and does not count as damaged")
    func newFileIsNotDamaged() throws {
        let file = try RecordFile(name: "test")
        #expect(try file.read() == nil)
        #expect(try found(file) == nil)
        #expect(try memory(file) == 0)
    }

    @Test("this process and the next one read the record that was written last", arguments: [false, true])
    func readsTheLastRecord(adopted: Bool) throws {
        var file = try RecordFile(name: "test")
        for (turn, size) in [0, 1, 2016, 2017, 4096, 5, 196_608, 196_607, 0, 2015, 70_000].enumerated() {
            if adopted { file = try RecordFile(adopting: file.descriptor.duplicate()) }
            try file.write(bytes(size, turn))
            #expect(try file.read() == bytes(size, turn))
            #expect(try found(file) == bytes(size, turn))
        }
    }

    @Test("a record that is too large is refused, and the old one stays")
    func refusesTooLargeRecord() throws {
        var file = try RecordFile(name: "test")
        try file.write([1, 2, 3])
        #expect(throws: RecordFileError.tooLarge(bytes: 196_609)) {
            try file.write([UInt8](repeating: 0, count: 196_609))
        }
        #expect(try found(file) == [1, 2, 3])
    }

    @Test("a small record costs one page, a large one its own length, and none leaves pages behind")
    func leavesNoPagesBehind() throws {
        var file = try RecordFile(name: "test")
        for turn in 0..<5 { try file.write(bytes(2016, turn)) }
        #expect(try memory(file) == 4096)
        for turn in 0..<5 { try file.write(bytes(4096, turn)) }
        #expect(try memory(file) == 8192)
        try file.write(bytes(196_608, 1))
        #expect(try memory(file) == 4096 + 196_608)
        try file.write(bytes(10, 1))
        #expect(try memory(file) == 4096)
        // The same where an earlier process had written the large record.
        try file.write(bytes(100_000, 1))
        var next = try RecordFile(adopting: file.descriptor.duplicate())
        try next.write(bytes(10, 2))
        #expect(try memory(next) == 4096)
    }

    @Test("if the newest record is not whole, the next process finds the one before it, if that one is whole")
    func fallsBackToOlderRecord() throws {
        var file = try RecordFile(name: "test")
        try file.write(bytes(100, 1))
        try file.write(bytes(200, 2))
        // The second slot is the other half of the page.
        #expect(pwrite(file.descriptor.rawValue, "x", 1, 2048 + 32 + 150) == 1)
        #expect(try found(file) == bytes(100, 1))
        #expect(throws: RecordFileError.damaged) { try file.read() }
        #expect(pwrite(file.descriptor.rawValue, "x", 1, 0) == 1)
        #expect(throws: RecordFileError.damaged) { try found(file) }
    }

    @Test("a change of any byte of the head is detected as damage")
    func detectsChangedHead() throws {
        for offset in 0..<32 {
            var file = try RecordFile(name: "test")
            try file.write(bytes(100, 1))
            var byte: UInt8 = 0
            #expect(pread(file.descriptor.rawValue, &byte, 1, off_t(offset)) == 1)
            for mask: UInt8 in [0x01, 0x80, 0xff] {
                var changed = byte ^ mask
                #expect(pwrite(file.descriptor.rawValue, &changed, 1, off_t(offset)) == 1)
                #expect(throws: RecordFileError.damaged) { try found(file) }
            }
        }
    }

    @Test("random bytes in a file of the right kind are reported as damage")
    func noiseIsDamage() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let file = try RecordFile(name: "test")
            let noise = (0..<4096).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(pwrite(file.descriptor.rawValue, noise, noise.count, 0) == noise.count)
            #expect(throws: RecordFileError.damaged) { try found(file) }
        }
    }

    @Test("files of another kind are foreign")
    func otherFilesAreForeign() throws {
        let unsealed = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("test")))
        #expect(ftruncate(unsealed.rawValue, off_t(RecordFile.fileSize)) == 0)
        let short = OwnedDescriptor(adopting: try valueOrErrno(cunix_memfd("test")))
        #expect(ftruncate(short.rawValue, off_t(RecordFile.fileSize - 1)) == 0)
        #expect(cunix_seal_size(short.rawValue) == 0)
        #expect(throws: RecordFileError.foreign) { _ = try RecordFile(adopting: unsealed.duplicate()) }
        #expect(throws: RecordFileError.foreign) { _ = try RecordFile(adopting: short.duplicate()) }
        #expect(throws: RecordFileError.foreign) { _ = try RecordFile(adopting: Pipe().readEnd.duplicate()) }
        let page = try SharedCounters.makeFile(name: "test")
        #expect(throws: RecordFileError.foreign) { _ = try RecordFile(adopting: page.duplicate()) }
    }

    @Test(
        "a writer that is killed at any moment leaves a whole record, never older than the last acknowledged one"
    )
    func killLeavesWholeRecord() throws {
        let file = try RecordFile(name: "test")
        let page = try SharedCounters.makeFile(name: "acknowledged")
        let acknowledged = try SharedCounters(mapping: page)
        var newest: UInt64 = 0
        var lastRound: UInt64 = 0
        for round in 0..<Self.kills {
            let writer = try SpawnedProcess(
                path: Products.path("systemd-probe"), arguments: ["record"],
                environment: Program.inheritedEnvironment().map { "\($0.key)=\($0.value)" },
                standardInput: file.descriptor.rawValue, control: page.rawValue)
            // Waits until the writer works and does not start any more. The sleep then makes the kill come at a
            // random moment.
            try eventually("the writer writes", every: .milliseconds(1)) { acknowledged.load(0) > lastRound }
            usleep(UInt32.random(in: 0..<2000))
            writer.signal(SIGKILL)
            #expect(try writer.wait() == .signalled(SIGKILL))
            let safe = acknowledged.load(0)
            let record = try #require(try found(file), "round \(round)")
            let number = try #require(RecordPattern.number(of: record), "round \(round): not as written")
            // The last record may have been written and not acknowledged yet.
            #expect(number == safe || number == safe + 1, "round \(round)")
            newest = number
            lastRound = safe
        }
        #expect(newest > Self.kills)
    }
}

/// The same records as in the probe.
private enum RecordPattern {
    static func number(of record: [UInt8]) -> UInt64? {
        guard record.count >= 8 else { return nil }
        let number = record.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let length = [9, 1500, 2016, 2017, 5000, 20_000][Int(number % 6)]
        let rest = UInt8(truncatingIfNeeded: number &* 31)
        return record.count == length && record.dropFirst(8).allSatisfy { $0 == rest } ? number : nil
    }
}
