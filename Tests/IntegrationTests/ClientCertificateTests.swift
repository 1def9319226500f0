import Glibc
import SluiceInterface
import TestKit
import Testing

extension Integration {
    @Suite("Client certificates")
    struct ClientCertificates {
        /// An nginx that reports the client's certificate, and a service that has a certificate for localhost.
        private struct Scene {
            let authority: TestCA
            let nginx: Nginx
            let credentials: TemporaryDirectory
            let service: TestService

            init(_ settings: String = "[origins.localhost]\nclient_certificate = \"api\"") throws {
                authority = try TestCA()
                var options = NginxOptions()
                options.certificate = authority[.good]
                options.httpConfiguration =
                    "ssl_client_certificate \(authority.certificate); ssl_verify_client optional;"
                options.serverConfiguration = """
                    location /who { return 200 "$ssl_client_verify $ssl_client_s_dn"; }
                    location /away { return 302 https://127.0.0.1:$server_port/who; }
                    """
                nginx = try Nginx(options)
                credentials = try TemporaryDirectory("sluice-credentials")
                let good = authority[.good]
                try credentials.write(
                    try readText(good.certificate) + readText(good.key), to: "api")
                var service = TestService.Options(settings: settings)
                service.authority = authority.certificate
                service.environment["CREDENTIALS_DIRECTORY"] = credentials.path
                self.service = try TestService(service)
            }

            func body(_ url: String) throws -> String {
                let (job, body) = try service.fetchWhole(url)
                #expect(job.outcome?.code == .complete, "\(job)")
                return String(decoding: body, as: UTF8.self)
            }
        }

        @Test(
            "only the configured host is shown its client certificate; other hosts and redirect targets are not"
        )
        func showsCertificateToItsHostOnly() throws {
            let scene = try Scene()
            let own = ["\(scene.nginx.tlsURL("/who"))", scene.nginx.http2URL("/who")]
            for url in own { #expect(try scene.body(url) == "SUCCESS CN=good", "\(url)") }
            let others = own.map { $0.replacing("localhost", with: "127.0.0.1") }
            for url in others { #expect(try scene.body(url) == "NONE ", "\(url)") }
            #expect(try scene.body(scene.nginx.tlsURL("/away")) == "NONE ")
            // The same on kept connections.
            for url in own { #expect(try scene.body(url) == "SUCCESS CN=good", "\(url)") }
        }

        @Test("a missing or invalid credential is reported by its name, and its content is never logged")
        func reportsBadCredentialByName() throws {
            let scene = try Scene("")
            #expect(try scene.body(scene.nginx.tlsURL("/who")) == "NONE ")
            func refuses(_ name: String, _ part: String) throws {
                try scene.service.directory.write(
                    "[origins.localhost]\nclient_certificate = \"\(name)\"", to: "sluiced.toml")
                let before = scene.service.log.count
                scene.service.program.signal(SIGHUP)
                try eventually("the settings are refused") {
                    let said = scene.service.log.dropFirst(before)
                    return said.contains("settings not usable") && said.contains(part)
                }
            }
            try refuses(
                "absent", "there is no such credential: pass it to the service (LoadCredential=absent:FILE)")
            try scene.credentials.write("-----BEGIN CERTIFICATE-----\nsecret", to: "broken")
            try refuses("broken", "it is no certificate with its key")
            #expect(!scene.service.log.contains("secret"))
            try refuses("a/b", "is not the name of a credential")
        }
    }
}
