internal import SluiceInterface

/// The arguments with which journalctl(1) shows the entries about one job. Pure.
///
/// Any process on the machine can write entries with a field SLUICE_JOB. Only the service manager determines the unit
/// of an entry (`systemd.journal-fields(7)`, trusted fields). The query therefore matches both.
public struct JournalQuery: Sendable, Equatable {
    /// Where the service runs.
    public enum Manager: Sendable, Equatable {
        /// Under the system's service manager.
        case system
        /// Under the user's own.
        case user
    }

    /// The job.
    public let id: String
    /// The manager of the service.
    public let manager: Manager
    /// The service's unit.
    public var unit: String
    /// Whether to continue with new entries.
    public var follows = false
    /// Whether to add the explanations of the catalog.
    public var explains = false
    /// journalctl's output format; nil for its default.
    public var output: String?
    /// Only this number of latest entries.
    public var lines: Int?

    /// The name of the installed unit.
    public static let unit = "sluiced.service"
    /// Formats with these prefixes are for programs, not for users.
    private static let forPrograms = ["json", "export", "cat"]
    /// Maximum length of an id.
    static let longestID = 64

    /// Asks for a job.
    ///
    /// - Throws: `.refused` for a text that cannot be an id.
    public init(
        _ id: String, manager: Manager = .system, unit: String = JournalQuery.unit
    ) throws(SluiceError) {
        guard !id.isEmpty, id.utf8.count <= Self.longestID, id.utf8.allSatisfy(Self.isInID) else {
            throw SluiceError(
                .refused, "“\(Terminal.printable(String(id.prefix(80))))” is not the id of a job",
                remedy: "sluicectl list shows your jobs")
        }
        self.id = id
        self.manager = manager
        self.unit = unit.contains(".") ? unit : "\(unit).service"
    }

    /// The arguments for journalctl, without its own name.
    public var arguments: [String] {
        var arguments: [String] = []
        if manager == .user { arguments.append("--user") }
        if follows { arguments.append("--follow") }
        if explains { arguments.append("--catalog") }
        if let output {
            arguments.append("--output=\(output)")
            // Without entries journalctl prints a sentence that a program could not parse.
            if Self.forPrograms.contains(where: output.hasPrefix) { arguments.append("--quiet") }
        }
        if let lines {
            arguments.append("--lines=\(lines)")
        } else if follows {
            // The default would be the latest ten entries.
            arguments.append("--lines=all")
        }
        let unitField = manager == .user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT"
        return arguments + ["SLUICE_JOB=\(id)", "\(unitField)=\(unit)"]
    }

    /// Determines which manager runs the service at a path.
    ///
    /// - Parameters:
    ///   - finder: knows the paths of services.
    ///   - exists: whether such a file exists.
    public static func manager(
        of finder: ServiceFinder, runtimeDirectory: String?, exists: (String) -> Bool
    ) -> Manager {
        guard let runtimeDirectory, !runtimeDirectory.isEmpty else { return .system }
        let own = SocketPath.user(runtimeDirectory: runtimeDirectory)
        // A service that has gone away leaves no socket. Where there is no socket at all, the user means the system's
        // service.
        let found = finder.isExplicit ? finder.paths.first : finder.paths.first(where: exists)
        return found == own ? .user : .system
    }

    private static func isInID(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }
}
