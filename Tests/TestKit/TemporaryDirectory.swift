internal import CTestKit
internal import Glibc
public import SystemPackage

/// A new directory under TMPDIR (else `/tmp`), removed with its contents when this value is released.
public final class TemporaryDirectory: Sendable {
    /// The absolute path, without a slash at its end, and short enough for the path of a Unix socket.
    public let path: String

    /// Makes the directory, with mode 0755 so that processes of other users can be tested in it.
    ///
    /// - Throws: the error of `mkdtemp(3)`.
    public init(_ name: String = "sluice") throws(Errno) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/\(name)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Errno(rawValue: errno) }
        path = template.withUnsafeBufferPointer {
            String(decoding: $0.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        chmod(path, 0o755)
    }

    deinit { remove() }

    /// The path of a file in the directory.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes a directory in it and returns its path.
    @discardableResult
    public func makeDirectory(_ name: String, mode: UInt32 = 0o755) throws(Errno) -> String {
        guard mkdir(file(name), mode) == 0 else { throw Errno(rawValue: errno) }
        return file(name)
    }

    /// Writes a small file in the directory and returns its path. The file may be a program: no child of another test
    /// has it open for writing, which would make its execve(2) fail with ETXTBSY.
    @discardableResult
    public func write(_ text: String, to name: String, mode: UInt32 = 0o644) throws -> String {
        try withoutForks {
            let descriptor = try FileDescriptor.open(
                file(name), .writeOnly, options: [.create, .truncate],
                permissions: FilePermissions(rawValue: CModeT(mode)))
            try descriptor.closeAfter { _ = try descriptor.writeAll(text.utf8) }
        }
        return file(name)
    }

    /// Removes the directory now. May be called twice.
    public func remove() {
        _ = ctestkit_remove_tree(path)
    }
}

/// The text of a small file; works for `/proc`, whose files have no size.
///
/// - Throws: the error of `open(2)` or `read(2)`.
public func readText(_ path: String) throws -> String {
    String(decoding: try readBytes(path), as: UTF8.self)
}

/// The bytes of a small file.
public func readBytes(_ path: String) throws -> [UInt8] {
    let descriptor = try FileDescriptor.open(path, .readOnly, options: .closeOnExec)
    return try descriptor.closeAfter {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = try chunk.withUnsafeMutableBytes { try descriptor.read(into: $0) }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
        }
    }
}
