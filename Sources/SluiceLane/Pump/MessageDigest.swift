internal import CCrypto
internal import SluiceCore

/// A message digest that is computed incrementally: SHA-256 or SHA-512 (FIPS 180-4), by libcrypto (EVP_DigestInit(3)).
///
/// This is a class: all references share one digest. `@unchecked Sendable` because libcrypto's context must have one
/// user at a time. Its only user is `BodyHasher`, which `Transfer` keeps in its state and uses under the lock of that
/// state.
final class MessageDigest: @unchecked Sendable {
    private let context: OpaquePointer

    /// - Returns: nil if libcrypto has no memory, or lacks the algorithm.
    init?(_ algorithm: DigestAlgorithm) {
        let method =
            switch algorithm {
            case .sha256: EVP_sha256()
            case .sha512: EVP_sha512()
            }
        guard let context = EVP_MD_CTX_new() else { return nil }
        guard EVP_DigestInit_ex(context, method, nil) == 1 else {
            EVP_MD_CTX_free(context)
            return nil
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    /// Takes the next bytes.
    func update(_ bytes: UnsafeRawBufferPointer) {
        // This fails only for a context that was not initialised, or is finalised. This one is neither.
        _ = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
    }

    /// The digest of the bytes so far; more may follow.
    ///
    /// - Returns: nil if libcrypto has no memory.
    func value() -> [UInt8]? {
        guard let copy = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(copy) }
        var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_MD_CTX_copy_ex(copy, context) == 1, EVP_DigestFinal_ex(copy, &bytes, &count) == 1 else {
            return nil
        }
        return Array(bytes.prefix(Int(count)))
    }
}
