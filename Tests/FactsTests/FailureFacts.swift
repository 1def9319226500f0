import TestKit
import Testing

/// The code and the message of each failure, which the retry rules read.
@Suite("Facts: how failures are told", .serialized)
struct FailureFacts {
    @Test(
        "an invalid certificate fails with -1 and OpenSSL's reason",
        arguments: [
            (TestCA.Quality.expired, "SSL certificate problem: certificate has expired"),
            (.wrongHost, "SSL: no alternative certificate subject name matches target host name 'localhost'"),
            (.selfSigned, "SSL certificate problem: self-signed certificate"),
        ])
    func reportsInvalidCertificate(_ quality: TestCA.Quality, _ text: String) throws {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[quality]
        let nginx = try Nginx(options)
        let outcome = try Probe(authority: authority.certificate).outcome(nginx.tlsURL("/"))
        #expect(outcome.number("code") == -1, "\(outcome)")
        #expect(outcome["text"] == text)
        #expect(try nginx.accessLog().isEmpty)
    }

    @Test("an untrusted authority fails with -1 and OpenSSL's reason")
    func reportsUntrustedAuthority() throws {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        let nginx = try Nginx(options)
        let outcome = try Probe().outcome(nginx.tlsURL("/"))
        #expect(outcome.number("code") == -1)
        #expect(outcome["text"] == "SSL certificate problem: unable to get local issuer certificate")
    }

    @Test("environment variables do not make libcurl trust an authority")
    func environmentAddsNoAuthority() throws {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        let nginx = try Nginx(options)
        let directory = try TemporaryDirectory()
        try directory.write(readText(authority.certificate), to: "ca.pem")
        _ = try Program.run("/usr/bin/openssl", ["rehash", directory.path]).successful()
        let configuration = try directory.write(
            "openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\nVerifyCAFile = \(authority.certificate)\n",
            to: "openssl.cnf")
        let probe = try Probe(environment: [
            "SSL_CERT_FILE": authority.certificate, "CURL_CA_BUNDLE": authority.certificate,
            "URLSessionCertificateAuthorityInfoFile": authority.certificate, "SSL_CERT_DIR": directory.path,
            "OPENSSL_CONF": configuration,
        ])
        let outcome = try probe.outcome(nginx.tlsURL("/"))
        #expect(outcome.number("code") == -1, "a variable works now: ca_file could use it")
    }

    @Test(
        "an executable that exports curl_easy_init chooses the authority, whatever the system's authorities are"
    )
    func interposedInitChoosesAuthority() throws {
        let authority = try TestCA()
        var options = NginxOptions()
        options.certificate = authority[.good]
        let nginx = try Nginx(options)
        try nginx.serve("file", Pattern(seed: 1), count: 1000)
        let outcome = try Probe("authority=\(authority.certificate)").outcome(nginx.tlsURL("/file"))
        #expect(outcome.number("received") == 1000, "ca_file needs another way now: \(outcome)")
        let other = try TestCA()
        let refused = try Probe("authority=\(other.certificate)").outcome(nginx.tlsURL("/file"))
        #expect(refused.number("code") == -1, "\(refused)")
    }

    @Test("a refused connection fails with -1004")
    func reportsRefusedConnection() throws {
        let outcome = try Probe().outcome("http://127.0.0.1:\(try Loopback.freePort())/")
        #expect(outcome.number("code") == -1004, "\(outcome)")
        #expect(outcome["text"].hasPrefix("Failed to connect to 127.0.0.1 port "))
    }

    @Test("a reset before the response fails with -1005")
    func reportsResetBeforeResponse() throws {
        let origin = try BadOrigin { $0.reset() }
        let outcome = try Probe().outcome(origin.url())
        #expect(outcome.number("code") == -1005, "\(outcome)")
        #expect(outcome["text"] == "Recv failure: Connection reset by peer")
    }

    @Test("a close before the response fails with -1011")
    func reportsCloseBeforeResponse() throws {
        let origin = try BadOrigin { $0.close() }
        let outcome = try Probe().outcome(origin.url())
        #expect(outcome.number("code") == -1011, "\(outcome)")
        #expect(outcome["text"] == "Empty reply from server")
    }

    @Test("a name that does not exist fails with -1003")
    func reportsUnknownName() throws {
        let outcome = try Probe().outcome("http://sluice.invalid/")
        #expect(outcome.number("code") == -1003, "\(outcome)")
        #expect(outcome["text"] == "Could not resolve host: sluice.invalid")
    }

    @Test("a response that does not arrive in time fails with -1001")
    func reportsLateResponse() throws {
        let origin = try BadOrigin { $0.waitForClose() }
        let outcome = try Probe("timeout=1").outcome(origin.url())
        #expect(outcome.number("code") == -1001, "\(outcome)")
    }

    @Test("a server that does not speak HTTP fails with -1002, the code of an unsupported URL")
    func reportsNonHTTPServer() throws {
        let origin = try BadOrigin { connection in
            try connection.send("SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()
        }
        let outcome = try Probe().outcome(origin.url())
        #expect(outcome.number("code") == -1002, "\(outcome)")
        #expect(outcome["text"] == "Received HTTP/0.9 when not allowed")
    }
}
