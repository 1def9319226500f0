/// Where the service listens.
public enum SocketPath {
    /// The socket of the system service.
    public static let system = "/run/sluice/io.sluice.Ingest"

    /// The socket of a user's own service, given `XDG_RUNTIME_DIR`.
    public static func user(runtimeDirectory: String) -> String {
        "\(runtimeDirectory)/sluice/io.sluice.Ingest"
    }
}

/// The version that every program of the package reports.
public enum SluiceVersion {
    /// As in NEWS.md (semver.org).
    public static let current = "0.4.0"
}
