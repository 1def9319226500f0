internal import SluiceInterface

/// Which entries of which journal are about one job: the arguments for journalctl(1). Pure.
///
/// Anybody on the machine may write entries with a field SLUICE_JOB; only the service manager says of which unit an
/// entry is (`systemd.journal-fields(7)`, trusted fields), so both are asked for.
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
    /// Goes on with new entries.
    public var follows = false
    /// Adds the explanations of the catalog.
    public var explains = false
    /// journalctl's output format; nil for its own choice.
    public var output: String?
    /// Only the latest so many.
    public var lines: Int?

    /// The unit as it is installed.
    public static let unit = "sluiced.service"
    /// Formats that begin so are not for people.
    private static let forPrograms = ["json", "export", "cat"]
    /// No id is longer.
    static let longestID = 64

    /// Asks for a job.
    ///
    /// - Throws: `.refused` for what cannot be an id.
    public init(
        _ id: String, manager: Manager = .system, unit: String = JournalQuery.unit
    ) throws(SluiceError) {
        guard !id.isEmpty, id.utf8.count <= Self.longestID, id.utf8.allSatisfy(Self.isInID) else {
            throw SluiceError(
                .refused, "“\(Terminal.printable(String(id.prefix(80))))” is no id of a job",
                remedy: "sluicectl list shows those there are")
        }
        self.id = id
        self.manager = manager
        self.unit = unit.contains(".") ? unit : "\(unit).service"
    }

    /// For journalctl, without its own name.
    public var arguments: [String] {
        var arguments: [String] = []
        if manager == .user { arguments.append("--user") }
        if follows { arguments.append("--follow") }
        if explains { arguments.append("--catalog") }
        if let output {
            arguments.append("--output=\(output)")
            // That there is nothing is said in words, which a program would stumble over.
            if Self.forPrograms.contains(where: output.hasPrefix) { arguments.append("--quiet") }
        }
        if let lines {
            arguments.append("--lines=\(lines)")
        } else if follows {
            // Of its own accord it would begin with the latest ten.
            arguments.append("--lines=all")
        }
        let unitField = manager == .user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT"
        return arguments + ["SLUICE_JOB=\(id)", "\(unitField)=\(unit)"]
    }

    /// Which manager runs the service at a place.
    ///
    /// - Parameters:
    ///   - finder: where services are looked for.
    ///   - exists: whether there is such a file.
    public static func manager(
        of finder: ServiceFinder, runtimeDirectory: String?, exists: (String) -> Bool
    ) -> Manager {
        guard let runtimeDirectory, !runtimeDirectory.isEmpty else { return .system }
        let own = SocketPath.user(runtimeDirectory: runtimeDirectory)
        // A service that has gone away leaves no socket: where there is none at all, it is the system's that is meant.
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
