internal import Foundation
internal import SluiceCore
internal import SluiceInterface

/// Computes the digests of a whole body as its bytes pass.
///
/// A hasher is made only if the job or the origin asks for one: hashing costs more than everything else that a lane
/// does.
struct BodyHasher {
    private var digests: [DigestAlgorithm: MessageDigest] = [:]
    /// The algorithm whose digest is reported.
    private let first: DigestAlgorithm
    /// The digests that the body must have, and who named them.
    private let expected: [(digest: BodyDigest, source: String)]

    /// A hasher for a body whose every byte will be received; nil if neither the job nor the origin asks for one.
    ///
    /// - Parameters:
    ///   - request: the digest that the job asks for.
    ///   - announced: the digests that the origin announced.
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

    /// Takes the next bytes of the body.
    func update(_ bytes: Data) {
        for digest in digests.values { bytes.withUnsafeBytes { digest.update($0) } }
    }

    /// The outcome of a body that has come whole, corrected by its digest, and the digest itself.
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
