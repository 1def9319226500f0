import SluiceDaemon
import TestKit
import Testing

@Suite("Proxies as a credential")
struct ProxyCredentialTests {
    private func read(_ text: String) throws -> [String: String] {
        let directory = try TemporaryDirectory()
        try directory.write(text, to: ProxyCredential.name)
        return try ProxyCredential.read(in: directory.path)
    }

    @Test("are read line by line, also passwords with special characters")
    func readsLineByLine() throws {
        #expect(
            try read("# ours\n\nhttps_proxy=http://u:p=w#d@proxy.test:3128\nno_proxy=localhost,.test")
                == ["https_proxy": "http://u:p=w#d@proxy.test:3128", "no_proxy": "localhost,.test"])
        #expect(try ProxyCredential.read(in: TemporaryDirectory().path).isEmpty)
    }

    @Test("that are malformed cause errors that name the line and reveal no value")
    func problemsRevealNoValue() throws {
        for text in ["https_proxy", "PATH=/secret", "x\nhttps_proxy =secret", "https_proxy=a\n\u{0}secret"] {
            let error = #expect(throws: SettingsFileError.self) { _ = try read(text) }
            #expect(error?.description.contains("line ") == true)
            #expect(error?.description.contains("secret") == false, "\(error?.description ?? "")")
        }
    }
}
