import Testing

@testable import SluiceClient

@Suite struct OptionOrderTests {
    @Test(
        "options before the subcommand are moved behind it",
        arguments: [
            (["--socket", "/s", "list"], ["list", "--socket", "/s"]),
            (["--json", "--socket=/s", "show", "id"], ["show", "--json", "--socket=/s", "id"]),
            (["fetch", "--socket", "/s", "url"], ["fetch", "--socket", "/s", "url"]),
            (["--help"], ["--help"]),
            (["--socket", "/s", "nosuch", "--bogus"], ["nosuch"]),
            (["nosuch", "--bogus"], ["nosuch", "--bogus"]),
            (["--socket"], ["--socket"]),
            (["--socket", "/s"], ["--socket", "/s"]),
            (["--socket", "/s", "--version"], ["--socket", "/s", "--version"]),
            ([], []),
        ])
    func movesOptionsBehindSubcommand(given: [String], expected: [String]) {
        #expect(OptionOrder.subcommandFirst(given, of: ["fetch", "list", "show"]) == expected)
    }
}
