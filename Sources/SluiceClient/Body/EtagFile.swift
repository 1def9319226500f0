internal import Glibc
internal import SystemPackage
internal import Unix

/// A file that remembers the version of a body that was fetched before: its entity-tag (RFC 9110 §8.8.3) on one line.
///
/// The file is read when the value is made. At the same time a temporary file for the next tag is made beside it, so
/// that a file that cannot be written is found before the service is asked for anything. Only `store` and `forget`
/// change the file.
///
/// ## Concurrency model
/// After `init` only the files change. Any thread may call `discard`, as with `OutputFile`.
public final class EtagFile: Sendable {
    /// Maximum length, in bytes. A longer file is not a file of this kind.
    static let maximumLength = 4096

    /// The entity-tag that it holds; nil where it does not exist or is empty.
    public let tag: String?
    private let next: OutputFile

    /// Reads the file.
    ///
    /// - Throws: `.local` where it cannot be read, is no regular file or holds no entity-tag, or where its directory
    ///   is not writable.
    public init(path: String) throws(SluiceError) {
        tag = try Self.read(path)
        next = try OutputFile(path: path)
    }

    /// Remembers the version of a complete body.
    ///
    /// - Parameter tag: the file is removed where this is nil, or no entity-tag that could be sent back.
    /// - Throws: `.local`; the file is unchanged then.
    public func store(_ tag: String?) throws(SluiceError) {
        guard let tag, Self.isEntityTag(tag) else {
            discard()
            return try forget()
        }
        do {
            _ = try FileDescriptor(rawValue: next.descriptor.rawValue).writeAll("\(tag)\n".utf8)
        } catch {
            discard()
            throw SluiceError(.local, "cannot write \(next.path): \(error)")
        }
        try next.commit()
    }

    /// Removes the file, since what it says about the version is no longer true.
    ///
    /// - Throws: `.local`.
    public func forget() throws(SluiceError) {
        guard unlink(next.path) != 0, errno != ENOENT else { return }
        throw SluiceError(.local, "cannot remove \(next.path): \(Errno(rawValue: errno))")
    }

    /// Leaves the file unchanged and removes the temporary file. Does nothing after `store`.
    public func discard() {
        next.discard()
    }

    /// Whether this is `"…"` or `W/"…"` of visible ASCII (RFC 9110 §8.8.3).
    static func isEntityTag(_ text: String) -> Bool {
        let opaque = text.hasPrefix("W/") ? text.dropFirst(2) : text[...]
        return text.utf8.count <= maximumLength && opaque.utf8.count >= 2 && opaque.hasPrefix("\"")
            && opaque.hasSuffix("\"")
            && opaque.utf8.dropFirst().dropLast().allSatisfy { (0x21...0x7e).contains($0) && $0 != 0x22 }
    }

    private static func read(_ path: String) throws(SluiceError) -> String? {
        func failure(_ reason: String) -> SluiceError {
            SluiceError(.local, "the entity-tag in \(path) cannot be read: \(reason)")
        }
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let opened = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard opened >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("\(Errno(rawValue: errno))")
        }
        let file = OwnedDescriptor(adopting: opened)
        var status = stat()
        guard fstat(file.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw failure("it is no regular file")
        }
        var bytes = [UInt8](repeating: 0, count: maximumLength + 1)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(file.rawValue, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw failure("\(Errno(rawValue: errno))") }
        let text = String(decoding: bytes[..<count].filter { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
        if text.isEmpty { return nil }
        guard isEntityTag(text) else {
            throw SluiceError(
                .local, "\(path) holds no entity-tag, which is text in double quotes",
                remedy: "remove it if it is not needed, or name another file")
        }
        return text
    }
}
