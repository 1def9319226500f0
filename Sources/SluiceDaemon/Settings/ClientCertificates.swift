internal import Glibc
public import SluiceCore
internal import Unix

/// The client certificates, with their keys, that the settings name for hosts. The service manager passes each of them
/// as a credential (systemd.exec(5), `LoadCredential=NAME:FILE`), which holds PEM blocks.
///
/// They are read together with the settings, because settings that name a missing credential are rejected. The service
/// manager sets credentials up only when it starts the service.
public struct ClientCertificates: Sendable {
    /// The largest size of a credential, in bytes. The daemon sends the credential along with an order.
    public static let maximumSize = 32 << 10

    /// The PEM texts, by the names of their credentials.
    private let texts: [String: String]

    /// No certificates.
    public init() {
        texts = [:]
    }

    /// Reads the credentials that the settings name.
    ///
    /// - Parameter directory: the directory of the service's credentials, `$CREDENTIALS_DIRECTORY`; nil if there is
    ///   none.
    /// - Throws: `SettingsFileError`, which never shows the contents of a credential.
    public init(_ origins: Settings.Origins, in directory: String?) throws(SettingsFileError) {
        var texts: [String: String] = [:]
        for name in origins.clientCertificates {
            guard let directory, access("\(directory)/\(name)", F_OK) == 0 else {
                throw SettingsFileError(
                    path: name,
                    problems: [
                        "there is no such credential: pass it to the service (LoadCredential=\(name):FILE), and start that again"
                    ])
            }
            texts[name] = try Self.read("\(directory)/\(name)")
        }
        self.texts = texts
    }

    /// The certificate and the key for a host, in PEM; nil if the settings name none for it.
    func text(for limits: Settings.Origins.Limits) -> String? {
        limits.clientCertificate.flatMap { texts[$0] }
    }

    private static func read(_ path: String) throws(SettingsFileError) -> String {
        let bytes: [UInt8]
        do {
            bytes = try SettingsFile.contents(of: path)
        } catch {
            throw SettingsFileError(path: path, problems: [error.sentence])
        }
        guard bytes.count <= maximumSize else {
            throw SettingsFileError(path: path, problems: ["it is larger than \(maximumSize) bytes"])
        }
        guard let text = String(validating: bytes, as: UTF8.self), !text.contains("\0"),
            text.contains("-----BEGIN CERTIFICATE-----"), text.contains("PRIVATE KEY-----")
        else {
            throw SettingsFileError(
                path: path, problems: ["it is no certificate with its key, in PEM, one behind the other"])
        }
        return text
    }
}
