internal import Foundation
internal import SluiceCore
internal import SluiceInterface

/// The digests of a whole body, computed as its bytes pass.
///
/// Made only where the job or the origin asks: hashing costs more than everything else that a lane does.
struct BodyHasher {
    private var digests: [DigestAlgorithm: MessageDigest] = [:]
    /// Which one is reported.
    private let first: DigestAlgorithm
    /// What the digests have to be, and who says so.
    private let expected: [(digest: BodyDigest, source: String)]

    /// A hasher for a body of which every byte will be seen; nil where nobody asks.
    ///
    /// - Parameters:
    ///   - request: what the job asks.
    ///   - announced: what the origin says.
    init?(request: DigestRequest?, announced: [BodyDigest]) {
        guard let first = request?.algorithm ?? announced.first?.algorithm else { return nil }
        self.first = first
        var expected = announced.map { (digest: $0, source: "the server announced") }
        if let digest = request?.expected { expected.insert((digest, "the job expects"), at: 0) }
        self.expected = expected
        for algorithm in [first] + expected.map(\.digest.algorithm) {
            digests[algorithm] = digests[algorithm] ?? MessageDigest(algorithm)
        }
    }

    /// The next bytes of the body.
    func update(_ bytes: Data) {
        for digest in digests.values { bytes.withUnsafeBytes { digest.update($0) } }
    }

    /// What the digest of a body that has come whole means for its outcome, and the digest itself.
    func judge(_ outcome: Outcome) -> (outcome: Outcome, digest: BodyDigest?) {
        guard outcome.code == .complete || outcome.code == .completeUnverified else { return (outcome, nil) }
        for (digest, source) in expected {
            guard let actual = value(digest.algorithm) else {
                return (Outcome(.laneUnavailable, "the body's digest could not be computed"), nil)
            }
            guard actual != digest else { continue }
            return (
                Outcome(.digestMismatch, "the body's digest is \(actual), and \(source) \(digest)"),
                value(first)
            )
        }
        guard outcome.code == .completeUnverified, !expected.isEmpty else { return (outcome, value(first)) }
        return (Outcome(.complete, "the body has the digest that was expected"), value(first))
    }

    private func value(_ algorithm: DigestAlgorithm) -> BodyDigest? {
        digests[algorithm]?.value().map { BodyDigest(algorithm: algorithm, bytes: $0) }
    }
}
