import SluiceCore
import TestKit
import Testing

@Suite("Digests")
struct BodyDigestTests {
    /// The digest of an empty body.
    static let empty256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    static let empty512 =
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81"
        + "a538327af927da3e"
    static let field256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    static let field512 =
        "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="

    @Test(
        "a job may request an algorithm or an exact digest, in upper or lower case",
        arguments: [
            ("sha256", DigestAlgorithm.sha256, nil), ("SHA512", .sha512, nil),
            ("sha256:\(empty256)", .sha256, "sha256:\(empty256)"),
            ("SHA256:\(empty256.uppercased())", .sha256, "sha256:\(empty256)"),
            ("sha512:\(empty512)", .sha512, "sha512:\(empty512)"),
            (
                "sha256:\(String(repeating: "00", count: 32))", .sha256,
                "sha256:\(String(repeating: "00", count: 32))"
            ),
        ] as [(String, DigestAlgorithm, String?)])
    func readsDigestRequests(_ text: String, _ algorithm: DigestAlgorithm, _ expected: String?) throws {
        let request = try DigestRequest(text)
        #expect(request.algorithm == algorithm && request.expected?.description == expected)
    }

    @Test("a request accepts only its exact digest, or any digest of its algorithm if it names none")
    func acceptsOnlyMatchingDigests() throws {
        let exact = try DigestRequest("SHA256:\(Self.empty256.uppercased())")
        #expect(exact.description == "sha256:\(Self.empty256)" && exact.accepts(exact.description))
        #expect(!exact.accepts("sha256:\(String(Self.empty256.reversed()))") && !exact.accepts(nil))
        let any = try DigestRequest("sha512")
        #expect(any.description == "sha512" && any.accepts("sha512:00") && !any.accepts("sha256:00"))
    }

    @Test(
        "an invalid digest request is refused with a short reason on one line",
        arguments: [
            "", ":", "md5", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha-256", "sha256 ", " sha256",
            "sha256:",
            "sha256:\(empty256.dropLast())", "sha256:\(empty256.dropLast(2))", "sha256:\(empty256)0",
            "sha256:\(empty256)00",
            "sha256:\(empty512)", "sha512:\(empty256)", "sha256:\(empty256.dropLast())g",
            "sha256:\(empty256.dropLast())é",
            "sha256:\(empty256.dropLast(2))+1", "sha256:\(empty256.dropLast(2))-1",
            "sha256:0x\(empty256.dropLast(2))",
            "sha256: \(empty256.dropLast())", "sha256:\(empty256):", "sha256::\(empty256)",
            "sha256:\(field256)",
            "sha256:\(String(repeating: "\u{212a}", count: 64))",
            "sha256:\(String(repeating: "０", count: 64))",
            "\(empty256)", "sha256\0", "ſha256",
        ])
    func refusesInvalidRequests(_ text: String) throws {
        let error = #expect(throws: RequestError.self) { try DigestRequest(text) }
        #expect(error?.parameter == "digest" && error?.reason.contains("\n") == false)
        #expect((error?.reason.utf8.count ?? 0) < 300)
    }

    @Test("a digest as long as a message is refused quickly")
    func refusesHugeDigestQuickly() {
        for text in [
            "sha256:" + String(repeating: "ab", count: 128 << 10), String(repeating: "é", count: 128 << 10),
        ] {
            let took = ProcessorTime.of {
                #expect(throws: RequestError.self) { try DigestRequest(text) }
            }
            // Reading it digit by digit took the service minutes.
            #expect(took < .seconds(5), "\(took)")
        }
    }

    @Test(
        "the digests in an origin's Repr-Digest field are read (RFC 9530 §3)",
        arguments: [
            ("sha-256=:\(field256):", ["sha256:\(empty256)"]),
            ("sha-512=:\(field512):", ["sha512:\(empty512)"]),
            (
                "sha-512=:\(field512):, sha-256=:\(field256):",
                ["sha256:\(empty256)", "sha512:\(empty512)"]
            ),
            (
                "unixsum=30637, sha-256=:\(field256):;x=1,\tmd5=:1B2M2Y8AsgTpgAmY7PhCfg==:",
                ["sha256:\(empty256)"]
            ),
            ("  sha-256=:\(field256):  ", ["sha256:\(empty256)"]),
            // The last one of two counts (RFC 9651 §3.2).
            ("sha-256=:AAAA:, sha-256=:\(field256):", ["sha256:\(empty256)"]),
            ("sha-256=:\(field256):, sha-256=:AAAA:", []),
            // Some senders leave out the padding, and the reader has to accept that (RFC 9651 §4.2.7).
            ("sha-256=:\(field256.dropLast()):", ["sha256:\(empty256)"]),
            ("sha-512=:\(field512.dropLast(2)):", ["sha512:\(empty512)"]),
        ])
    func readsReprDigest(_ text: String, _ digests: [String]) {
        #expect(BodyDigest.inField(text).map(\.description) == digests)
    }

    @Test(
        "an invalid or unusable Repr-Digest field is ignored",
        arguments: [
            "", " ", ",", "sha-256", "sha-256=", "sha-256=?1", "sha-256=1", "sha-256=:", "sha-256=::",
            "sha-256=:AAAA:",
            "sha-256=\"\(field256)\"", "sha-256=(:\(field256):)", "sha-256=\(field256)",
            "SHA-256=:\(field256):",
            "sha256=:\(field256):", "sha-256=:\(field512):", "sha-512=:\(field256):", "sha-256=:\(field256)",
            "sha-256=:\(field256):,", "sha-256=:\(field256): x", "sha-256 = :\(field256):",
            // A dictionary with one mistake is invalid as a whole (RFC 9651 §4.2).
            "sha-256=:\(field256):, sha-512=(", "x=1.2345, sha-256=:\(field256):",
            "sha-256=:\(field256):, é=1",
            "sha-256=:\(field256):\0", "id-sha-256=:\(field256):", "sha-256=:====:",
            "sha-256=:=\(field256.dropLast()):",
        ])
    func ignoresUnusableReprDigest(_ text: String) {
        #expect(BodyDigest.inField(text).isEmpty)
    }

    @Test("a Repr-Digest field of absurd length is ignored quickly")
    func ignoresHugeFieldQuickly() {
        let text = (0..<60_000).map { "k\($0)=1" }.joined(separator: ", ") + ", sha-256=:\(Self.field256):"
        let took = ProcessorTime.of { #expect(BodyDigest.inField(text).isEmpty) }
        #expect(took < .seconds(5), "\(took)")
    }

    @Test("a digest is written in lower case, two digits for each byte")
    func writesLowerCaseHexadecimal() {
        let digest = BodyDigest(algorithm: .sha256, bytes: [0, 1, 15, 16, 171, 255])
        #expect(digest.description == "sha256:00010f10abff")
    }
}
