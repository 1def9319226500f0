import Glibc
import SluiceDaemon

/// The places where the lane's executable can be.
enum LaneLocation {
    /// Beside the daemon's executable, as in a build tree, or in the libexec directory that belongs to it.
    static func candidates() -> [String] {
        let directory = ownDirectory()
        return ["\(directory)/sluice-lane", "\(directory)/../libexec/sluice/sluice-lane"]
    }

    private static func ownDirectory() -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let length = readlink("/proc/self/exe", &buffer, Int(PATH_MAX))
        guard length > 0 else { return "." }
        let path = String(decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}

/// The environment of lanes: the daemon's, without the variables that are for the daemon alone.
enum LaneEnvironment {
    /// Variables that lanes do not get. Those of the service manager are for the daemon alone: the manager would
    /// believe a lane that sends it messages.
    private static let withheld: Set<String> = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "SWIFT_BACKTRACE",
    ]

    /// The variables as `NAME=value` strings.
    ///
    /// - Throws: `SettingsFileError` about the credential with the proxies.
    static func make(credentials directory: String?) throws(SettingsFileError) -> [String] {
        let proxies =
            try directory.map { directory throws(SettingsFileError) in try ProxyCredential.read(in: directory)
            }
            ?? [:]
        // libcurl has its own precedence among these names (libcurl-env(3)), so a credential replaces all of them.
        let withheld = Self.withheld.union(proxies.isEmpty ? [] : ProxyCredential.variables)
        var variables = proxies.map { "\($0.key)=\($0.value)" }
        var next = environ
        while let entry = next.pointee {
            let variable = String(cString: entry)
            let name = String(variable.prefix { $0 != "=" })
            if !withheld.contains(name) { variables.append(variable) }
            next += 1
        }
        // A backtrace of a crashed lane is not worth the seconds that its symbol lookup takes.
        variables.append("SWIFT_BACKTRACE=enable=no")
        return variables
    }
}
