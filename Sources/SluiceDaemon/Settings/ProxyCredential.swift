internal import Glibc
internal import Unix

/// Proxies, with their passwords, that the service manager passes as a credential (systemd.exec(5),
/// `LoadCredential=proxy:…`). Any user can read the environment of a unit, but only the service can read a credential.
///
/// The file has lines like those of an environment file: `https_proxy=http://USER:PASSWORD@HOST:PORT`. Empty lines and
/// lines that begin with `#` are ignored. If the credential sets any variable, all proxy variables of the service's own
/// environment are ignored.
public enum ProxyCredential {
    /// The credential's name.
    public static let name = "proxy"
    /// The variables that it may set (libcurl-env(3)).
    public static let variables = [
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY",
    ]

    /// Reads the variables that the credential sets, by name; empty if there is no credential.
    ///
    /// - Parameter directory: the directory of the service's credentials, `$CREDENTIALS_DIRECTORY`.
    /// - Throws: `SettingsFileError`, which never shows a value.
    public static func read(in directory: String) throws(SettingsFileError) -> [String: String] {
        let path = "\(directory)/\(name)"
        guard access(path, F_OK) == 0 else { return [:] }
        let bytes: [UInt8]
        do {
            bytes = try SettingsFile.contents(of: path)
        } catch {
            throw SettingsFileError(path: path, problems: [error.sentence])
        }
        var found: [String: String] = [:]
        var problems: [String] = []
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .enumerated()
        {
            guard let text = String(validating: line, as: UTF8.self), !text.contains("\0") else {
                problems.append("line \(index + 1): it is not UTF-8, or has a NUL byte")
                continue
            }
            guard !text.isEmpty, text.first != "#" else { continue }
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, variables.contains(String(parts[0])) else {
                problems.append(
                    "line \(index + 1): it is not NAME=VALUE, with one of the names \(variables.joined(separator: ", "))"
                )
                continue
            }
            found[String(parts[0])] = String(parts[1])
        }
        guard problems.isEmpty else { throw SettingsFileError(path: path, problems: problems) }
        return found
    }
}
