internal import Glibc

/// The locations of the programs under test.
public enum Products {
    /// The directory of the built executables: SLUICE_BIN_DIR, else the directory of the test runner, where the
    /// package manager puts them.
    public static var directory: String {
        if let chosen = getenv("SLUICE_BIN_DIR") { return String(cString: chosen) }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let length = max(0, readlink("/proc/self/exe", &buffer, buffer.count))
        let runner = String(decoding: buffer[..<length].map(UInt8.init(bitPattern:)), as: UTF8.self)
        return runner.lastIndex(of: "/").map { String(runner[..<$0]) } ?? "."
    }

    /// The path of an executable: `sluiced`, `sluice-lane`, `sluicectl`, `facts-probe`.
    ///
    /// - Throws: `TestFailure` where it has not been built.
    public static func path(_ name: String) throws -> String {
        let path = "\(directory)/\(name)"
        guard access(path, X_OK) == 0 else {
            throw TestFailure("no \(path): build it first (swift build), or set SLUICE_BIN_DIR")
        }
        return path
    }
}
