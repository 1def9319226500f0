import SluiceCore
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("Credentials with client certificates")
struct ClientCertificatesTests {
    private static let pem =
        "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\ny\n-----END PRIVATE KEY-----\n"

    private func origins(_ name: String) -> Settings.Origins {
        var origins = Settings.Origins()
        var limits = Settings.Origins.Limits()
        limits.clientCertificate = name
        origins.hosts = [".example.org": limits]
        return origins
    }

    @Test("are found by the name in the settings, for the hosts that they are meant for")
    func findsCredentialsForHosts() throws {
        let directory = try TemporaryDirectory()
        try directory.write(Self.pem, to: "api")
        let origins = origins("api")
        let certificates = try ClientCertificates(origins, in: directory.path)
        #expect(certificates.text(for: origins.limits(for: "a.example.org")) == Self.pem)
        #expect(certificates.text(for: origins.limits(for: "example.com")) == nil)
        var nearer = origins
        var none = Settings.Origins.Limits()
        none.clientCertificate = ""
        nearer.hosts["a.example.org"] = none
        #expect(certificates.text(for: nearer.limits(for: "a.example.org")) == nil)
        #expect(certificates.text(for: nearer.limits(for: "b.example.org")) == Self.pem)
    }

    @Test("are refused if they are missing, too large or not a certificate with its key")
    func refusesInvalidCredentials() throws {
        let directory = try TemporaryDirectory()
        func problem(_ text: String?) throws -> String {
            if let text { try directory.write(text, to: "api") }
            let error = #expect(throws: SettingsFileError.self) {
                _ = try ClientCertificates(origins("api"), in: directory.path)
            }
            return error?.description ?? ""
        }
        #expect(try problem(nil).contains("there is no such credential"))
        #expect(try problem("secret").contains("it is no certificate with its key"))
        #expect(try problem(Self.pem + "\0").contains("it is no certificate with its key"))
        let large = Self.pem + String(repeating: "x", count: ClientCertificates.maximumSize)
        #expect(try problem(large).contains("it is larger than"))
        #expect(throws: SettingsFileError.self) { _ = try ClientCertificates(origins("api"), in: nil) }
    }
}
