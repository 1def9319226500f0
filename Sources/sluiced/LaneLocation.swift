import Glibc
import SluiceDaemon

/// Where the lane's executable is.
enum LaneLocation {
    /// Beside our own executable, as in a build tree, or in the libexec directory that belongs to it.
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

/// The environment of lanes: ours without what is the daemon's alone.
enum LaneEnvironment {
    /// What the service manager tells us is not for children; a lane that speaks to it would be believed.
    private static let withheld: Set<String> = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
        "STATE_DIRECTORY", "RUNTIME_DIRECTORY", "CREDENTIALS_DIRECTORY", "SWIFT_BACKTRACE",
    ]

    /// `NAME=value` each.
    ///
    /// - Throws: `SettingsFileError` about the credential with the proxies.
    static func make(credentials directory: String?) throws(SettingsFileError) -> [String] {
        let proxies =
            try directory.map { directory throws(SettingsFileError) in try ProxyCredential.read(in: directory)
            }
            ?? [:]
        // libcurl has an order of its own among these names, so what is set here is all that is set.
        let withheld = Self.withheld.union(proxies.isEmpty ? [] : ProxyCredential.variables)
        var variables = proxies.map { "\($0.key)=\($0.value)" }
        var next = environ
        while let entry = next.pointee {
            let variable = String(cString: entry)
            let name = String(variable.prefix { $0 != "=" })
            if !withheld.contains(name) { variables.append(variable) }
            next += 1
        }
        // A lane that a server has crashed has nothing to tell that is worth seconds of symbol look-up.
        variables.append("SWIFT_BACKTRACE=enable=no")
        return variables
    }
}
