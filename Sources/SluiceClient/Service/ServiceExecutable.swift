internal import Glibc

/// Finds `sluiced`.
public enum ServiceExecutable {
    /// The environment variable with its path.
    public static let variable = "SLUICED"

    /// The paths to try, in order: only the value of `SLUICED` where it is set; else the place beside the calling
    /// program where an installation puts `sluiced`, and then `PATH`.
    ///
    /// - Parameters:
    ///   - program: the path of the running program.
    ///   - environment: `SLUICED` and `PATH` are used.
    public static func candidates(program: String?, environment: [String: String]) -> [String] {
        if let named = environment[variable], !named.isEmpty { return [named] }
        var directories: [String] = []
        if let program, let slash = program.lastIndex(of: "/") {
            let own = program[..<slash]
            directories = ["", "/../sbin", "/../bin", "/../libexec/sluice"].map { own + $0 }
        }
        directories += (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return directories.map { "\($0)/sluiced" }
    }

    /// The first path that can be executed.
    ///
    /// - Throws: `.noService` where there is none.
    public static func find(environment: [String: String]) throws(SluiceError) -> String {
        let candidates = candidates(program: ownPath(), environment: environment)
        if let found = candidates.first(where: { access($0, X_OK) == 0 }) { return found }
        if let named = environment[variable], !named.isEmpty {
            throw SluiceError(
                .noService, "no service runs, and \(named), named by \(variable), cannot be run",
                remedy: "correct \(variable)")
        }
        throw SluiceError(
            .noService, "no service runs, and no sluiced was found to start one",
            remedy: "install it beside sluicectl, or name it with \(variable)")
    }

    private static func ownPath() -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let length = buffer.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { readlink("/proc/self/exe", $0, characters.count) } ?? 0
            }
        }
        return length > 0 ? String(decoding: buffer[..<length], as: UTF8.self) : nil
    }
}
