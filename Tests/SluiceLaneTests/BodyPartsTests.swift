import FoundationEssentials
import SluiceCore
import SluiceInterface
import TestKit
import Testing

@testable import SluiceLane

@Suite("The window onto a body, and its digests")
struct BodyPartsTests {
    static let pattern = Pattern(seed: 13)

    @Test(
        "dropping ends at the exact byte, wherever the chunks end",
        arguments: [(0, 71), (1, 71), (70, 71), (71, 71), (37, 16_384), (100_003, 71), (99_999, 16_384)])
    func dropsExactBytes(_ dropping: Int, _ chunk: Int) throws {
        let length = 100_003
        var window = BodyWindow(dropping: dropping, announced: length)
        var wanted: [UInt8] = []
        var all: [UInt8] = []
        for start in stride(from: 0, to: length, by: chunk) {
            // A slice whose index does not begin at 0, as Foundation's chunks may be.
            let bytes = [0] + Self.pattern.bytes(start..<min(start + chunk, length))
            let parts = window.take(Data(bytes).dropFirst())
            wanted += parts.wanted
            all += parts.announced
            #expect(!parts.hasExcess)
        }
        #expect(window.seen == length)
        #expect(window.toDrop == 0)
        #expect(wanted.count == length - dropping)
        #expect(Self.pattern.mismatch(wanted, at: dropping) == nil)
        #expect(all.count == length && Self.pattern.mismatch(all) == nil)
    }

    @Test("the window lets nothing through after the announced end", arguments: [7, 64, 1000])
    func stopsAtAnnouncedEnd(_ chunk: Int) {
        var window = BodyWindow(dropping: 3, announced: 100)
        var wanted: [UInt8] = []
        var hadExcess = false
        for start in stride(from: 0, to: 1000, by: chunk) {
            let parts = window.take(Data(Self.pattern.bytes(start..<start + chunk)))
            wanted += parts.wanted
            hadExcess = hadExcess || parts.hasExcess
        }
        #expect(hadExcess)
        #expect(window.seen == 100)
        #expect(wanted == Self.pattern.bytes(3..<100))
    }

    // MARK: Digests

    private let complete = Outcome(.complete, "")
    private let unverified = Outcome(.completeUnverified, "")
    private let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    private func hasher(_ request: String?, _ field: String? = nil) throws -> BodyHasher? {
        let hasher = BodyHasher(
            request: try request.map { try DigestRequest($0) },
            announced: field.map(BodyDigest.inField) ?? [])
        // FIPS 180-4's example, in two parts.
        hasher?.update(Data("a".utf8))
        hasher?.update(Data("bc".utf8))
        return hasher
    }

    @Test("no digest is computed unless the job requests one or the origin sends a supported one")
    func hashesOnlyWhereNeeded() throws {
        #expect(try hasher(nil) == nil)
        #expect(try hasher(nil, "md5=:AAAA:, unixsum=:AA==:") == nil)
    }

    @Test("a digest is reported, and compared with what the job expects and what the origin sends")
    func comparesDigests() throws {
        let told = try #require(try hasher("sha256")).judge(complete)
        #expect(told.outcome.code == .complete)
        #expect(told.digest?.description == "sha256:\(digest)")
        #expect(try hasher("sha256:\(digest)")?.judge(complete).outcome.code == .complete)
        let wrong = try #require(try hasher("sha256:" + String(repeating: "0", count: 64))).judge(complete)
        #expect(wrong.outcome.code == .digestMismatch)
        #expect(wrong.outcome.message.contains(digest))
        #expect(wrong.outcome.message.contains(String(repeating: "0", count: 64)))
        let right = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:"
        let other = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
        #expect(try hasher(nil, right)?.judge(complete).digest?.hexadecimal == digest)
        #expect(try hasher(nil, other)?.judge(complete).outcome.code == .digestMismatch)
        // The job asks for another algorithm: it gets that digest, and the origin's digest is checked all the same.
        #expect(try hasher("sha512", other)?.judge(complete).outcome.code == .digestMismatch)
        #expect(try hasher("sha512", right)?.judge(complete).digest?.algorithm == .sha512)
    }

    @Test(
        "a digest that matches proves a body whose end is unproven; a digest that is only reported does not")
    func digestProvesUnverifiedBody() throws {
        #expect(try hasher("sha256:\(digest)")?.judge(unverified).outcome.code == .complete)
        #expect(try hasher("sha256")?.judge(unverified).outcome.code == .completeUnverified)
        let broken = try #require(try hasher("sha256")).judge(Outcome(.truncated, ""))
        #expect(broken.outcome.code == .truncated && broken.digest == nil)
    }

    @Test("an origin that breaks off after a long wait is reported to have given up")
    func reportsOriginThatGaveUp() {
        let lost = Outcome(.connectionLost, "the connection was lost after 5 bytes")
        #expect(TransferFailure.outcome(lost, afterWait: nil) == lost)
        let given = TransferFailure.outcome(lost, afterWait: .seconds(61))
        #expect(given.code == .originGaveUp)
        #expect(given.message.contains("61 s") && given.message.contains("after 5 bytes"))
    }
}
