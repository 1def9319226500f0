import SluiceInterface
import Testing

@testable import SluiceCore

@Suite("What goes along to another origin")
struct CredentialRulesTests {
    private static let fields = [
        "Authorization", "COOKIE", "X-Api-Key", "User-Agent", "Accept", "proxy-authorization", "X-Trace",
    ].map { HeaderField(name: $0, value: "v") }

    private func names(_ rules: CredentialRules) -> [String] {
        rules.sent(of: Self.fields).map(\.name)
    }

    @Test("credentials are dropped for good at another origin, and the other fields keep their order")
    func dropsCredentialsForGood() throws {
        let (here, there) = (try RequestURL("https://h/").origin, try RequestURL("https://g/").origin)
        var rules = CredentialRules(others: ["x-api-key"])
        rules.follow(from: here, to: here)
        #expect(!rules.areDropped && names(rules) == Self.fields.map(\.name))
        rules.follow(from: here, to: there)
        #expect(rules.areDropped && names(rules) == ["User-Agent", "Accept", "X-Trace"])
        rules.follow(from: there, to: here)
        #expect(names(rules) == ["User-Agent", "Accept", "X-Trace"], "also on the way back")
        rules.follow(from: here, to: here)
        #expect(names(rules) == ["User-Agent", "Accept", "X-Trace"])
    }

    @Test(
        "another scheme, host or port is another origin",
        arguments: ["http://h/", "https://h:444/", "https://h./", "https://a.h/", "https://[::1]/"])
    func detectsOtherOrigins(_ place: String) throws {
        var rules = CredentialRules(others: [])
        rules.follow(from: try RequestURL("https://h/").origin, to: try RequestURL(place).origin)
        #expect(names(rules) == ["X-Api-Key", "User-Agent", "Accept", "X-Trace"])
    }

    @Test(
        "the same origin can be written in more than one way",
        arguments: ["https://H/", "https://h:443/x", "HTTPS://h:/"])
    func recognisesSameOrigin(_ place: String) throws {
        var rules = CredentialRules(others: [])
        rules.follow(from: try RequestURL("https://h/").origin, to: try RequestURL(place).origin)
        #expect(!rules.areDropped)
    }

    @Test("an attempt that begins where a redirect led to another origin sends no credentials")
    func sendsNoneAfterEarlierRedirect() {
        #expect(
            names(CredentialRules(others: ["accept"], areDropped: true)) == [
                "X-Api-Key", "User-Agent", "X-Trace",
            ])
    }
}
