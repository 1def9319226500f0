internal import Unix

/// How to make a program that uses FoundationNetworking trust a `TestCA`.
///
/// Found by experiment (Swift 6.3.1, Debian's libcurl 7.88.1 with OpenSSL 3.0): Foundation links the system's
/// libcurl, leaves its built-in CURLOPT_CAINFO (`/etc/ssl/certs/ca-certificates.crt`) and CURLOPT_CAPATH
/// (`/etc/ssl/certs`) alone, and offers no setting of its own on Linux. **No environment variable works**:
/// SSL_CERT_FILE, SSL_CERT_DIR, CURL_CA_BUNDLE, URLSessionCertificateAuthorityInfoFile (Foundation reads it
/// on Android only) and OPENSSL_CONF with VerifyCAFile were tried.
///
/// What works:
/// * a private mount namespace in which the bundle is another file: `unshare -m` for root, `unshare -rm` for
///   others (this type); in a unit file `BindReadOnlyPaths=/some/ca.pem:/etc/ssl/certs/ca-certificates.crt`
///   (systemd 252, also with `User=nobody`). The other files of `/etc/ssl/certs` stay trusted through
///   CURLOPT_CAPATH unless the directory is covered as well;
/// * interposing `curl_easy_init` to set CURLOPT_CAINFO on every handle (Foundation keeps what it finds set),
///   from a preloaded library, or from the executable itself if it exports the symbol (`-Xlinker
///   --export-dynamic`), as facts-probe does.
public enum Trust {
    /// The program and arguments that run a program with a CA file in the place of the system's bundle.
    ///
    /// The process that is started becomes the program: the process number, descriptors 0 to 3 and signals stay the
    /// same.
    ///
    /// - Throws: `TestFailure` where the machine allows no namespaces.
    public static func command(
        _ path: String, _ arguments: [String], authority: String
    ) throws -> (path: String, arguments: [String]) {
        try command(path, arguments, with: authority, over: systemBundle)
    }

    /// The program and arguments that run a program with one file in the place of another.
    ///
    /// - Throws: `TestFailure` where the machine allows no namespaces.
    public static func command(
        _ path: String, _ arguments: [String], with file: String, over place: String
    ) throws -> (path: String, arguments: [String]) {
        let probe = try Program.run("/usr/bin/unshare", ["-m", "/bin/true"])
        let flags = probe.exit == .exited(0) ? ["-m"] : ["-rm"]
        guard isAvailable else {
            throw TestFailure("this test needs a mount namespace of its own: run the tests as root")
        }
        let script = "mount --bind \"$1\" \(place) && shift && exec \"$@\""
        return ("/usr/bin/unshare", flags + ["/bin/sh", "-c", script, "sh", file, path] + arguments)
    }

    /// Where libcurl looks by default.
    public static let systemBundle = "/etc/ssl/certs/ca-certificates.crt"

    /// Whether this machine lets a test make a mount namespace.
    public static var isAvailable: Bool {
        ["-m", "-rm"].contains {
            (try? Program.run("/usr/bin/unshare", [$0, "/bin/true"]))?.exit == .exited(0)
        }
    }
}
