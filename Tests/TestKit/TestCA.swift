internal import Glibc

/// A certificate authority for tests, with valid and invalid server certificates, made with the openssl program.
///
/// The files are in a temporary directory that exists as long as this value. Keys are P-256, so this takes well under
/// a second.
public final class TestCA: Sendable {
    /// A certificate and its key, as files in PEM.
    public struct Certificate: Sendable {
        /// The certificate.
        public let certificate: String
        /// Its private key.
        public let key: String
    }

    /// The defect of a server certificate, if any.
    public enum Quality: String, Sendable, CaseIterable {
        /// Valid for localhost, 127.0.0.1, 127.0.0.2 and ::1.
        case good
        /// As `good`, but expired since yesterday.
        case expired
        /// Valid only for elsewhere.invalid.
        case wrongHost
        /// Valid for localhost, and self-signed.
        case selfSigned
    }

    private let directory: TemporaryDirectory
    /// The authority's certificate, which a client has to trust.
    public let certificate: String

    /// Makes the authority and all the certificates.
    public init() throws {
        directory = try TemporaryDirectory("sluice-ca")
        certificate = directory.file("ca.pem")
        try openssl(
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
                + ["-subj", "/CN=Sluice Test CA", "-keyout", directory.file("ca.key"), "-out", certificate])
        try issue(.good, names: Self.localNames, days: "2")
        try issue(.expired, names: Self.localNames, days: "-1")
        try issue(.wrongHost, names: "DNS:elsewhere.invalid", days: "2")
        let own = self[.selfSigned]
        try openssl(
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
                + ["-subj", "/CN=localhost", "-addext", "subjectAltName=\(Self.localNames)"]
                + ["-keyout", own.key, "-out", own.certificate])
    }

    private static let localNames = "DNS:localhost,IP:127.0.0.1,IP:127.0.0.2,IP:::1"

    /// The certificate of a quality.
    public subscript(quality: Quality) -> Certificate {
        Certificate(
            certificate: directory.file("\(quality.rawValue).pem"),
            key: directory.file("\(quality.rawValue).key"))
    }

    private func issue(_ quality: Quality, names: String, days: String) throws {
        let paths = self[quality]
        let request = directory.file("\(quality.rawValue).csr")
        try openssl(
            [
                "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=\(quality)",
            ]
                + ["-keyout", paths.key, "-out", request])
        let extensions = try directory.write("subjectAltName=\(names)\n", to: "\(quality.rawValue).ext")
        try openssl(
            ["x509", "-req", "-in", request, "-CA", certificate, "-CAkey", directory.file("ca.key")]
                + ["-CAcreateserial", "-days", days, "-extfile", extensions, "-out", paths.certificate])
    }

    private func openssl(_ arguments: [String]) throws {
        _ = try Program.run("/usr/bin/openssl", arguments).successful()
    }
}
