internal import Glibc

/// A file that one read(2) takes whole, as those of /proc and /sys.
public enum SmallFile {
    /// The file's contents as text.
    ///
    /// - Parameters:
    ///   - path: absolute, or relative to the working directory.
    ///   - limit: how many bytes are read at most; what follows is left out.
    /// - Returns: nil if it cannot be opened or read.
    public static func text(of path: String, atMost limit: Int = 4096) -> String? {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(adopting: number)
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = read(file.rawValue, &bytes, limit)
        return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
