import Glibc
import SluiceCore
import TestKit
import Testing

@testable import SluiceDaemon

@Suite("Drop-ins of the settings")
struct DropInTests {
    private let directory: TemporaryDirectory
    private let file: String
    private let folder: String

    init() throws {
        directory = try TemporaryDirectory()
        file = try directory.write("[lanes]\nmaximum = 7\nminimum = 1\n", to: "sluiced.toml")
        folder = try directory.makeDirectory("sluiced.toml.d")
    }

    private func drop(_ text: String, _ name: String) throws {
        try directory.write(text, to: "sluiced.toml.d/\(name)")
    }

    private func refusal() throws -> SettingsFileError {
        try #require(#expect(throws: SettingsFileError.self) { try SettingsFile.read(path: file) })
    }

    @Test("a drop-in takes precedence over the file, and a later drop-in over an earlier one, key by key")
    func laterDropInsTakePrecedence() throws {
        #expect(try SettingsFile.read(path: file).lanes.maximum == 7)
        try drop("lanes.maximum = 8\nlimits.jobs = 9\nlimits.jobs_per_user = 9", "10-a.toml")
        try drop("[lanes]\nmaximum = 10\n", "9-b.toml")
        let settings = try SettingsFile.read(path: file)
        #expect(settings.lanes.maximum == 10 && settings.lanes.minimum == 1)
        #expect(settings.limits.jobs == 9)
    }

    @Test("other files in the folder are ignored, and without a folder there are no drop-ins")
    func ignoresOtherFiles() throws {
        for name in ["README", "a.toml~", ".hidden.toml", "a.conf"] { try drop("nonsense", name) }
        #expect(try SettingsFile.read(path: file).lanes.maximum == 7)
        let alone = try directory.write("lanes.maximum = 3", to: "alone.toml")
        #expect(try SettingsFile.read(path: alone).lanes.maximum == 3)
    }

    @Test("all problems are reported at once, each with the drop-in that has it")
    func reportsAllProblemsOfDropIns() throws {
        try drop("lanes.maximum = \"x\"\nlanes.no = 1\n", "1.toml")
        try drop("limits.jobs = 7000\n", "2.toml")
        let error = try refusal()
        #expect(error.problems == [])
        #expect(
            error.dropInProblems.map { String($0.dropFirst(folder.count + 1).prefix { $0 != " " }) } == [
                "1.toml:", "1.toml:", "2.toml:",
            ])
        for part in ["lanes.maximum: it is not a whole number", "lanes.no: there is no", "limits.jobs: 7000"]
        {
            #expect(error.description.contains(".toml: \(part)"), "\(error)")
        }
    }

    @Test("a drop-in that is not TOML or not a regular file is an error, and so is a folder that is not one")
    func refusesUnreadableDropIns() throws {
        try drop("= nonsense", "1.toml")
        #expect(mkfifo("\(folder)/2.toml", 0o600) == 0)
        let error = try refusal()
        #expect(error.description.contains("\(folder)/1.toml: line 1: it is not TOML"))
        #expect(error.description.contains("\(folder)/2.toml: it is not a regular file"))
        let other = try directory.write("", to: "other.toml")
        try directory.write("", to: "other.toml.d")
        #expect(throws: SettingsFileError.self) { try SettingsFile.read(path: other) }
        for number in 0...SettingsFile.maximumDropIns { try drop("", "x\(number).toml") }
        #expect(try refusal().description == "\(folder): it has more than 100 drop-ins")
    }

    @Test("the listing shows every setting with its source, and is itself a valid settings file")
    func listsSettingsWithSources() throws {
        try drop("limits.maximum_size = \"3M\"\nredirects.credential_fields = [\"X-A\"]", "a.toml")
        var loaded = try SettingsFile.load(path: file)
        let lines = loaded.text.split(separator: "\n").map(String.init)
        #expect(lines.contains("maximum = 7  # \(file)"))
        #expect(lines.contains("maximum_size = \"3M\"  # \(folder)/a.toml"))
        #expect(lines.contains("credential_fields = [\"x-a\"]  # \(folder)/a.toml"))
        #expect(lines.contains("idle_seconds = 60  # default"))
        #expect(lines.contains("holding_share = 0.5  # default"))
        #expect(try SettingsFile.parse(loaded.text, path: "shown") == loaded.settings)
        let standard = SettingsFile.defaults
        #expect(standard.settings == Settings())
        #expect(try SettingsFile.parse(standard.text, path: "shown") == Settings())
        loaded.override("service", "socket", with: "/a \"b\"\n", by: "--socket")
        #expect(loaded.text.contains("[service]\nsocket = \"/a \\\"b\\\"\\u000a\"  # --socket\n"))
        #expect(try SettingsFile.parse(loaded.text, path: "shown").socket == "/a \"b\"\n")
    }
}
