import SluiceClient
import TestKit
import Testing
import Unix

@Suite("A job's journal") struct JournalQueryTests {
    @Test("is queried by the job and by the unit that must have written the entries")
    func queriesByJobAndUnit() throws {
        #expect(
            try JournalQuery("abc123").arguments == ["SLUICE_JOB=abc123", "_SYSTEMD_UNIT=sluiced.service"])
        var query = try JournalQuery("abc", manager: .user, unit: "mine")
        query.explains = true
        query.output = "json"
        query.lines = 3
        #expect(
            query.arguments == [
                "--user", "--catalog", "--output=json", "--quiet", "--lines=3", "SLUICE_JOB=abc",
                "_SYSTEMD_USER_UNIT=mine.service",
            ])
        query = try JournalQuery("abc")
        query.follows = true
        #expect(query.arguments.prefix(2) == ["--follow", "--lines=all"])
    }

    @Test(
        "an invalid id is refused before journalctl can take it for something else",
        arguments: ["", "a b", "a=b", "a\n", "+", "ä", String(repeating: "a", count: 65)])
    func refusesInvalidID(id: String) {
        #expect(throws: SluiceError.self) { try JournalQuery(id) }
    }

    private func manager(
        explicit: String? = nil, _ existing: [String], run: String? = "/run/user/7"
    ) -> JournalQuery.Manager {
        var environment: [String: String] = [:]
        environment["XDG_RUNTIME_DIR"] = run
        return JournalQuery.manager(
            of: ServiceFinder(explicit: explicit, environment: environment), runtimeDirectory: run,
            exists: existing.contains)
    }

    @Test("comes from the manager whose service the client would ask")
    func usesJournalOfServiceManager() {
        let system = "/run/sluice/io.sluice.Ingest"
        let own = "/run/user/7/sluice/io.sluice.Ingest"
        #expect(manager([system, own]) == .system)
        #expect(manager([own]) == .user)
        #expect(manager([]) == .system)
        #expect(manager([own], run: nil) == .system)
        #expect(manager(explicit: own, [system, own]) == .user)
        #expect(manager(explicit: "/tmp/socket", [own]) == .system)
    }

    @Test("a journal that exists but cannot be read is reported as such")
    func reportsUnreadableJournal() throws {
        let id = "0123456789abcdef0123456789abcdef"
        func check(
            _ manager: JournalQuery.Manager, _ answers: [String: JournalAccess.Answer]
        ) throws {
            try JournalAccess.check(manager, userID: 7, machine: id) { answers[$0] ?? .absent }
        }
        let lasting = "/var/log/journal/\(id)/"
        try check(.system, [:])
        try check(.system, [lasting + "system.journal": .readable])
        try check(
            .system,
            [lasting + "system.journal": .denied, "/run/log/journal/\(id)/system.journal": .readable])
        try check(
            .user, [lasting + "system.journal": .denied, lasting + "user-7.journal": .readable])
        #expect(throws: SluiceError.self) { try check(.system, [lasting + "system.journal": .denied]) }
        do {
            try check(.user, [lasting + "system.journal": .denied])
            Issue.record("no error")
        } catch let error as SluiceError {
            #expect(error.kind == .permissionDenied && error.description.contains("systemd-journal"))
        }
    }

    @Test("sluicectl logs becomes journalctl, with its output and its exit status")
    func becomesJournalctl() throws {
        let directory = try TemporaryDirectory()
        let stand = try directory.write("#!/bin/sh\necho \"$@\"\nexit 7\n", to: "journalctl")
        _ = try Program.run("/bin/chmod", ["755", stand]).successful()
        let program = try Products.path("sluicectl")
        let result = try Program.run(
            program, ["logs", "abc", "-x"], environment: ["PATH": "\(directory.path):/usr/bin:/bin"])
        #expect(result.exit == .exited(7))
        #expect(result.output == "--catalog SLUICE_JOB=abc _SYSTEMD_UNIT=sluiced.service\n")
        let none = try Program.run(program, ["logs", "abc"], environment: ["PATH": directory.file("none")])
        #expect(none.exit == .exited(1))
        #expect(none.errors.hasPrefix("sluicectl: there is no journalctl"))
        let bad = try Program.run(program, ["logs", "a b"], environment: ["PATH": directory.path])
        #expect(bad.exit == .exited(2))
    }
}
