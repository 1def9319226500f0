internal import Glibc
internal import SystemPackage

/// Whether a user may read the journal. This is checked first, since journalctl(1) does not report what it leaves
/// out.
public enum JournalAccess {
    /// What `access(2)` reports about a file.
    public enum Answer: Sendable, Equatable {
        case readable
        case denied
        case absent
    }

    /// Where journald keeps its files, the persistent directory before the volatile one
    /// (`systemd-journald.service(8)`).
    static let directories = ["/var/log/journal", "/run/log/journal"]

    /// Checks that the entries of a service can be read.
    ///
    /// - Parameters:
    ///   - machine: this machine's id (`machine-id(5)`).
    ///   - look: returns what `access(2)` reports; replaced in tests.
    /// - Throws: `.permissionDenied` where the journal exists and this user may not read it.
    public static func check(
        _ manager: JournalQuery.Manager, userID: UInt32, machine: String?, look: (String) -> Answer = look
    ) throws(SluiceError) {
        guard let machine else { return }
        // A user's own entries are in a file of that user, where the journal is kept on disk.
        let names = manager == .user ? ["user-\(userID).journal", "system.journal"] : ["system.journal"]
        let answers = directories.flatMap { directory in
            names.map { look("\(directory)/\(machine)/\($0)") }
        }
        guard !answers.contains(.readable), answers.contains(.denied) else { return }
        throw SluiceError(
            .permissionDenied, "you may not read the journal",
            remedy:
                "have yourself added to the group systemd-journal (usermod -aG systemd-journal NAME) and log in "
                + "again, or ask as root")
    }

    /// What `access(2)` reports about a file.
    public static func look(_ path: String) -> Answer {
        if access(path, R_OK) == 0 { return .readable }
        return errno == EACCES || errno == EPERM ? .denied : .absent
    }

    /// The machine's id; nil where it has none.
    public static func machineID() -> String? {
        guard let file = try? FileDescriptor.open("/etc/machine-id", .readOnly) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = try? file.closeAfter { try bytes.withUnsafeMutableBytes { try file.read(into: $0) } }
        guard count == 32 else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) } ? text : nil
    }
}
